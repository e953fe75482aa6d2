"""The policy at work: what the poller asks for, declines, hands back and tells its hub."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from agent import usage
from agent.datasets import DataSet, register
from agent.errors import TaskGone
from agent.home import Home
from agent.journal import Entry
from agent.policy import consents
from agent.policy.standing import DECLINES_KEPT, Site, declines
from federation.protocol import LeaseRequest, PolicySummary
from tests.agent.conftest import Spec, training
from tests.agent.fake_hub import FakeHub, Task
from tests.agent.test_poller import hasty, poll  # noqa: F401 (a fixture)
from tests.agent.tiny import plan

NIGHT = '[[windows]]\nfrom = "20:00"\nto = "06:00"\n'
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def data(home: Home, tmp_path: Path) -> None:
    for slug in ("coast", "hills"):
        register(home.data_file, slug, DataSet(tmp_path / "rows", "train.csv", "test.csv"))


@pytest.fixture
def spec(quiet_hub: FakeHub) -> Spec:
    return training(quiet_hub, b"start", plan())


def rule(home: Home, text: str) -> None:
    (home.folder / "policy.toml").write_text(text)


def site(home: Home, now: datetime = NOON) -> Site:
    return Site(home, clock=lambda: now)


# With a hub.


def test_a_declined_task_is_told_with_its_rule_and_never_begun(
    quiet_hub: FakeHub, home: Home, spec: Spec
) -> None:
    rule(home, "limits.rank = 1")
    task = quiet_hub.offer(spec)
    poll(home, quiet_hub, until=lambda: task.failures)
    (failure,) = task.failures
    assert (failure.code, failure.retry) == ("declined_by_policy", False)
    assert failure.detail == "limits.rank: the plan asks for rank 2, the site allows 1"
    assert not list(home.tasks.iterdir())
    (known,) = declines(home)
    assert (known.task, known.run, known.rule) == (task.offer.id, task.offer.run, "limits.rank")


def test_what_the_policy_allows_is_begun(quiet_hub: FakeHub, home: Home, spec: Spec) -> None:
    rule(home, "limits.rank = 2\nrequire_consent = true")
    task = quiet_hub.offer(spec)
    file = home.folder / consents.FILE
    now = datetime.now(UTC)
    consents.give(file, task.offer.run, ends_at=now + timedelta(hours=1), now=now)
    poll(home, quiet_hub, until=lambda: task.failures)
    assert task.failures[0].code == "worker_absent"  # nobody is there to do it in this test
    start = usage.read(home).tasks[task.offer.id].fetches_bytes
    assert start == len(b"start")


def test_a_closed_federation_is_not_asked_for(quiet_hub: FakeHub, home: Home) -> None:
    rule(home, '[federation."coast"]\npaused = true')
    poll(home, quiet_hub, until=lambda: quiet_hub.leases)
    asked = quiet_hub.leases[0]
    assert asked.federations == ("hills",)
    assert asked.policy
    assert [(c.federation, c.rule) for c in asked.policy.closed] == [("coast", "paused")]


def test_a_task_that_comes_when_the_policy_has_closed_is_handed_back(
    quiet_hub: FakeHub, home: Home, spec: Spec
) -> None:
    rule(home, "paused = true")  # the hub of this test offers it all the same
    task = quiet_hub.offer(spec)
    poll(home, quiet_hub, until=lambda: task.releases)
    assert (task.failures, task.state) == ([], "released")


def test_with_a_wrong_file_nothing_is_asked_for_and_nothing_accepted(
    quiet_hub: FakeHub, home: Home, spec: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    rule(home, "limits.setps = 3")
    task = quiet_hub.offer(spec)
    poll(home, quiet_hub, until=lambda: task.releases)
    assert quiet_hub.leases[0].federations == ()
    assert quiet_hub.leases[0].policy
    assert quiet_hub.leases[0].policy.state == "unreadable"
    assert (task.failures, task.state) == ([], "released")
    (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert told.cause == "policy.toml is wrong: limits.setps: no such rule"


def test_a_task_that_was_interrupted_is_judged_again(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    rule(home, "require_consent = true")
    task = quiet_hub.tasks[entry.offer.id]
    poll(home, quiet_hub, until=lambda: task.failures)
    assert task.failures[0].detail.startswith("require_consent: ")


def test_a_result_that_is_there_is_sent_whatever_the_policy_says(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    from agent.journal import Outcome
    from federation.protocol import FailureIn

    rule(home, "federations = []")
    entry.decide(Outcome(failure=FailureIn(fence=0, code="no_data", retry=False)))
    task = quiet_hub.tasks[entry.offer.id]
    poll(home, quiet_hub, until=lambda: task.failures)
    assert task.failures[0].code == "no_data"


# The site alone.


def test_without_a_file_everything_is_asked_for_and_nothing_said_of_a_policy(home: Home) -> None:
    asked, summary = site(home).open({"coast", "hills"})
    assert (asked, summary) == (("coast", "hills"), None)
    request = LeaseRequest(agent_version="1", federations=asked, policy=summary)
    assert "policy" not in request.model_dump(mode="json")


def test_windows_open_and_close_by_themselves(home: Home) -> None:
    rule(home, f'timezone = "Europe/Oslo"\n{NIGHT}')
    opened = {
        hour: bool(site(home, NOON.replace(hour=hour)).open(["coast"])[0]) for hour in range(24)
    }
    assert [hour for hour, is_open in opened.items() if is_open] == [
        0,
        1,
        2,
        3,
        4,
        19,
        20,
        21,
        22,
        23,
    ]


def test_what_had_begun_goes_on_outside_of_its_hours(home: Home, entry: Entry) -> None:
    rule(home, NIGHT)
    with pytest.raises(TaskGone, match="windows"):
        site(home).admit(entry, is_resumed=False)
    site(home).admit(entry, is_resumed=True)
    assert entry.outcome is None


def test_a_day_s_budget_comes_back_at_the_site_s_midnight(home: Home, entry: Entry) -> None:
    rule(home, 'timezone = "Europe/Oslo"\nper_day.device_hours = 1')
    usage.begin(home, entry, NOON.date())
    usage.count(home, entry, NOON.date(), device_seconds=3600)
    evening = NOON.replace(hour=22, minute=59)
    assert site(home, evening).open(["coast"])[0] == ()
    assert site(home, evening + timedelta(minutes=1)).open(["coast"])[0] == ("coast",)


def test_use_is_counted_for_the_site_s_day(home: Home, entry: Entry) -> None:
    import asyncio

    rule(home, 'timezone = "Pacific/Auckland"')

    async def work() -> None:
        async with site(home).meter(entry).running():
            pass

    asyncio.run(work())
    assert list(usage.read(home).tasks[entry.offer.id].days) == [NOON.date() + timedelta(1)]


def test_the_summary_has_names_and_counts_only(home: Home, entry: Entry) -> None:
    rule(
        home,
        '# zanzibarine\nbase_models = ["zanzibarine"]\nlimits.rank = 8\n'
        '[federation."coast"]\nper_day.upload_mb = 5\n[federation."zanzibarine"]\n',
    )
    usage.begin(home, entry, NOON.date())
    file = home.folder / consents.FILE
    consents.give(file, uuid4(), ends_at=NOON + timedelta(days=1), now=NOON)
    _, summary = site(home).open(["coast", "hills"])
    assert summary == PolicySummary(
        state="set",
        rules=("base_models", "limits.rank", "per_day.upload_mb"),
        sections=2,
        consents=1,
        received_bytes_today=len(b"start"),
    )
    assert "zanzibarine" not in summary.model_dump_json()


def test_declines_are_remembered_newest_first_once_each_and_not_for_ever(
    home: Home, quiet_hub: FakeHub, spec: Spec
) -> None:
    from agent.journal import Journal

    rule(home, "work = []")
    tasks: list[Task] = [quiet_hub.offer(spec) for _ in range(DECLINES_KEPT + 3)]
    for task in [*tasks, tasks[-1]]:
        task.state = "leased"
        site(home).admit(Journal(home.tasks).open(task.offer), is_resumed=False)
    known = declines(home)
    assert len(known) == DECLINES_KEPT
    assert known[0].task == tasks[-1].offer.id
    assert len({one.task for one in known}) == DECLINES_KEPT
    assert json.loads((home.folder / "declines.json").read_text())[0]["rule"] == "work"

"""What a site engineer types about the policy, and what the handbook says of it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from agent import usage
from agent.commands.shared import Exit
from agent.home import Home
from agent.journal import Entry
from agent.policy import Case, Policy, consents
from agent.policy.document import rules_in
from agent.policy.standing import Site, Standing
from agent.policy.words import WORDS
from federation.plan import Plan
from tests.agent import tiny
from tests.agent.policy.test_rules import CLOSING, RULES, policy
from tests.agent.test_cli import left_with, run

HANDBOOK = Path(__file__).parents[3] / "docs" / "agent.md"


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    file = tmp_path / "plan.json"
    file.write_text(tiny.plan(max_steps=500).model_dump_json())
    return file


def write(home: Home, text: str) -> None:
    (home.folder / "policy.toml").write_text(text)


def mapped(home: Home, slug: str) -> None:
    run(home, "data", "add", slug, str(tiny.make_data(home.folder / "rows")))


def test_without_a_file_everything_is_allowed_and_that_is_said(home: Home) -> None:
    assert "everything is allowed" in run(home, "policy", "check")
    assert "everything is allowed" in run(home, "status", status=Exit.STOPPED)
    assert json.loads(run(home, "policy", "check", "--json")) == {"timezone": "UTC", "rules": []}


def test_the_file_is_explained_rule_by_rule(home: Home) -> None:
    write(home, 'limits.rank = 8\n[federation."coast"]\nper_day.device_hours = 2.5')
    assert json.loads(run(home, "policy", "check", "--json"))["rules"] == [
        {"federation": None, "rule": "limits.rank", "means": "at most rank 8"},
        {
            "federation": "coast",
            "rule": "per_day.device_hours",
            "means": "at most 2.5 hours of device time a day",
        },
    ]
    told = run(home, "policy", "check")
    assert "at most rank 8" in told
    assert "limits.rank" in json.loads(run(home, "status", "--json", status=Exit.STOPPED))["policy"]


def test_a_wrong_file_is_a_fault_in_check_and_is_said_in_status(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    write(home, "limits.setps = 3")
    code, told = left_with(capsys, "policy", "check", "--home", str(home.folder))
    assert (code, told.strip()) == (Exit.FAULT, "policy.toml is wrong: limits.setps: no such rule")
    status = run(home, "status", status=Exit.STOPPED)
    assert "unreadable, no work is taken: policy.toml is wrong: limits.setps" in status


def test_a_plan_is_judged_before_it_is_a_task(home: Home, plan_file: Path) -> None:
    write(home, "limits.steps = 400\nlimits.rank = 8")
    words = ("policy", "check", "--plan", str(plan_file))
    told = run(home, *words, status=Exit.DECLINED)
    assert "limits.steps: the plan asks for 500 steps, the site allows 400" in told
    assert "rank" not in told
    found = json.loads(run(home, *words, "--json", status=Exit.DECLINED))
    assert [one["rule"] for one in found["declined_by"]] == ["limits.steps"]
    write(home, "limits.steps = 500")
    assert "It would be accepted." in run(home, *words)


def test_a_run_of_the_api_is_judged_with_its_federation_and_its_consent(
    home: Home, tmp_path: Path
) -> None:
    run_id, file = uuid4(), tmp_path / "run.json"
    plan = tiny.plan().model_dump(mode="json")
    file.write_text(json.dumps({"id": str(run_id), "federation_slug": "coast", "plan": plan}))
    write(home, '[federation."coast"]\nrequire_consent = true\npaused = true')
    words = ("policy", "check", "--plan", str(file))
    assert "require_consent: " in run(home, *words, status=Exit.DECLINED)
    run(home, "policy", "consent", str(run_id))
    told = run(home, *words)
    assert "It would be accepted." in told
    assert "Not now: paused" in told
    run(home, *words, "--federation", "hills")


def test_what_a_file_does_not_tell_is_not_judged(home: Home, plan_file: Path) -> None:
    write(home, 'federations = []\nbase_models = []\n[federation."coast"]\npaused = true')
    words = ("policy", "check", "--plan", str(plan_file))
    told = run(home, *words)
    assert "Not judged" in told
    assert "federations, base_models, rules of single federations" in " ".join(told.split())
    found = json.loads(run(home, *words, "--json", "--base", "base/tiny", status=Exit.DECLINED))
    assert found["not_judged"] == ["federations", "federation"]


@pytest.mark.parametrize("text", ["{", "[]", '{"task": {}}', '{"plan": {}, "id": "x"}'])
def test_what_is_no_plan_is_a_fault(
    text: str, home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"
    file.write_text(text)
    words = ("policy", "check", "--plan", str(file), "--home", str(home.folder))
    code, told = left_with(capsys, *words)
    assert code == Exit.FAULT
    assert "plan.json is n" in told


def test_consent_is_given_shown_and_revoked(home: Home) -> None:
    run_id = str(uuid4())
    assert run_id in run(home, "policy", "consent", run_id, "--days", "2")
    (kept,) = consents.read(home.folder / consents.FILE).items()
    assert str(kept[0]) == run_id
    assert abs(kept[1] - datetime.now(UTC) - timedelta(days=2)) < timedelta(minutes=1)
    assert f"Consent to {run_id}" in run(home, "policy", "show")
    assert "any more" in run(home, "policy", "revoke", run_id)
    assert "There was no consent" in run(home, "policy", "revoke", run_id)
    assert json.loads(run(home, "policy", "show", "--json"))["consents"] == {}
    run(home, "policy", "consent", "no-id", status=2)
    run(home, "policy", "consent", run_id, "--days", "0", status=2)


def test_show_says_what_is_closed_what_was_used_and_what_was_declined(
    home: Home, entry: Entry
) -> None:
    mapped(home, "coast")
    write(home, "total.device_hours = 1\nper_day.upload_mb = 5\nwindows = []")
    now = datetime.now(UTC)
    usage.begin(home, entry, now.date())
    usage.count(home, entry, now.date(), device_seconds=5400)
    Site(home).admit(entry, is_resumed=True)
    found = json.loads(run(home, "policy", "show", "--json"))
    (place,) = found["federations"]
    assert (place["open"], place["not_before"]) == (False, None)
    assert place["closed_by"][0]["rule"] == "windows"
    hours = [use for use in found["used"] if use["rule"] == "total.device_hours"]
    assert (hours[0]["used"], hours[0]["of"]) == (1.5, 1)
    assert found["declined"][0]["rule"] == "total.device_hours"
    told = run(home, "policy", "show")
    assert "coast: windows: the site takes no work at this hour" in told
    assert "Declined" in told


def test_show_says_when_the_windows_open(home: Home) -> None:
    mapped(home, "coast")
    later = datetime.now(UTC) + timedelta(hours=2)
    write(home, f'[[windows]]\nfrom = "{later:%H:00}"\nto = "{later:%H:01}"')
    (place,) = json.loads(run(home, "policy", "show", "--json"))["federations"]
    assert place["not_before"] == f"{later:%Y-%m-%dT%H:00}+00:00"
    assert "not before" in run(home, "policy", "show")


def test_every_rule_is_explained() -> None:
    assert WORDS.keys() == RULES.keys() | CLOSING.keys()
    for forbidding, _ in (*RULES.values(), *CLOSING.values()):
        ((name, value),) = rules_in(policy(forbidding))
        assert WORDS[name](value)


# The handbook.


def section() -> str:
    return HANDBOOK.read_text().split("## Site policy\n", 1)[1].split("\n## ", 1)[0]


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", section(), re.DOTALL)


def test_the_table_of_the_handbook_has_every_rule_and_no_other() -> None:
    named = re.findall(r"^\| `([a-z_.]+)` \|", section(), re.MULTILINE)
    assert sorted(named) == sorted(WORDS | {"timezone": None})


def test_the_example_of_the_handbook_does_what_its_comments_say() -> None:
    import tomllib

    (text,) = snippets("toml")
    found = Policy.model_validate(tomllib.loads(text))
    monday_night = datetime(2026, 3, 2, 22, tzinfo=UTC)
    plan = tiny.plan(max_steps=1000, epochs=3.0)

    def ruled(
        slug: str, when: datetime, book: usage.Book | None = None, **case: object
    ) -> set[str]:
        at = Standing(found, {}, book or usage.Book(), when)
        judged = Case(plan, federation=slug, run=uuid4(), base="all-minilm-l6-v2", **case)  # type: ignore[arg-type]
        return {one.rule for one in (*at.closed(slug), *at.declined(judged))}

    assert ruled("coast-watch", monday_night, rank=16) == set()
    assert ruled("coast-watch", monday_night - timedelta(hours=10)) == {"windows"}
    assert ruled("coast-watch", monday_night - timedelta(days=1)) == set()
    assert ruled("nordic-hospitals", monday_night, rank=8) == {"require_consent"}
    assert ruled("nordic-hospitals", monday_night, rank=9) == {"require_consent", "limits.rank"}
    assert ruled("elsewhere", monday_night) == {"federations"}


def test_the_commands_of_the_handbook_run(home: Home, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(
        json.dumps({"id": str(uuid4()), "plan": Plan.model_dump(tiny.plan(), mode="json")})
    )
    (text,) = snippets("toml")
    write(home, text)
    for line in "\n".join(snippets("sh")).splitlines():
        words = line.partition("#")[0].split()
        assert words[0] == "foedus-agent"
        known = {"RUN": str(uuid4()), "run.json": str(tmp_path / "run.json")}
        done = [known.get(word, word) for word in words[1:]]
        run(home, *done, status=Exit.DECLINED if "--plan" in done else Exit.DONE)

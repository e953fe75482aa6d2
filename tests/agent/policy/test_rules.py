"""The laws of a policy: rules only forbid, and each that forbids says its name."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policy import Case, Facts, Limits, Policy, PolicyFault, Rules, Use, consents, read
from agent.policy.consents import Consents
from agent.policy.rules import lasting
from agent.policy.standing import Standing
from agent.usage import Book, Record
from federation.plan import CausalLanguageModelling, Plan
from federation.protocol import TaskType
from tests.agent import tiny

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)  # a Wednesday
RUN, OTHER = UUID(int=1), UUID(int=2)
CASE = Case(
    plan=tiny.plan(epochs=2.0, max_steps=500),
    federation="coast",
    run=RUN,
    base="tiny",
    revision=tiny.REVISION,
    work=TaskType.TRAIN,
    rank=4,
)

# A rule that forbids the case above, and one of the same name that does not.
RULES = {
    "federations": ('federations = ["hills"]', 'federations = ["coast", "hills"]'),
    "base_models": ('base_models = ["huge"]', 'base_models = ["tiny"]'),
    "tasks": ('tasks = ["causal_lm"]', 'tasks = ["sequence_classification"]'),
    "work": ('work = ["evaluate"]', 'work = ["train"]'),
    "privacy": ('privacy = "records"', 'privacy = "none"'),
    "require_consent": ("require_consent = true", "require_consent = false"),
    "limits.steps": ("limits.steps = 499", "limits.steps = 500"),
    "limits.epochs": ("limits.epochs = 1.5", "limits.epochs = 2"),
    "limits.rank": ("limits.rank = 3", "limits.rank = 4"),
    "limits.tokens_per_text": ("limits.tokens_per_text = 15", "limits.tokens_per_text = 16"),
    "total.device_hours": ("total.device_hours = 0", "total.device_hours = 1"),
    "total.upload_mb": ("total.upload_mb = 0", "total.upload_mb = 0.5"),
    "total.download_mb": ("total.download_mb = 0", "total.download_mb = 9"),
}
CLOSING = {
    "paused": ("paused = true", "paused = false"),
    "windows": (
        '[[windows]]\nfrom = "13:00"\nto = "12:00"',
        '[[windows]]\nfrom = "12:00"\nto = "13:00"',
    ),
    "per_day.device_hours": ("per_day.device_hours = 0", "per_day.device_hours = 1"),
    "per_day.upload_mb": ("per_day.upload_mb = 0", "per_day.upload_mb = 1"),
    "per_day.download_mb": ("per_day.download_mb = 0", "per_day.download_mb = 1"),
}


def policy(text: str) -> Policy:
    return Policy.model_validate(tomllib.loads(text))


def standing(text: str, given: Consents | None = None) -> Standing:
    return Standing(policy(text), given or {}, Book(), NOW)


def in_section(text: str) -> str:
    """The same rule for the case's federation alone."""
    if text.startswith("[["):
        return text.replace("[[windows]]", '[[federation."coast".windows]]')
    return f'[federation."coast"]\n{text}'


@pytest.mark.parametrize("name", RULES)
def test_what_declines_a_task_says_its_name(name: str) -> None:
    forbidding, allowing = RULES[name]
    assert [found.rule for found in standing(forbidding).declined(CASE)] == [name]
    assert not standing(allowing).declined(CASE)


@pytest.mark.parametrize("name", sorted(RULES.keys() - {"federations"}))
def test_a_federation_may_have_rules_of_its_own(name: str) -> None:
    forbidding = standing(in_section(RULES[name][0]))
    assert [found.rule for found in forbidding.declined(CASE)] == [name]
    assert not forbidding.declined(Case(CASE.plan, "hills", RUN, "tiny", None, TaskType.TRAIN, 4))


@pytest.mark.parametrize("name", CLOSING)
def test_what_passes_closes_and_declines_nothing(name: str) -> None:
    forbidding, allowing = CLOSING[name]
    for text in (forbidding, in_section(forbidding)):
        assert [found.rule for found in standing(text).closed("coast")] == [name]
        assert not standing(text).declined(CASE)
    assert not standing(in_section(forbidding)).closed("hills")
    assert not standing(allowing).closed("coast")


def test_words_say_the_limit() -> None:
    told = [str(found) for found in standing("[limits]\nsteps = 400\nrank = 2").declined(CASE)]
    assert told == [
        "limits.rank: the plan asks for rank 4, the site allows 2",
        "limits.steps: the plan asks for 500 steps, the site allows 400",
    ]
    unbounded = Case(tiny.plan(), work=TaskType.TRAIN)
    told = [str(found) for found in standing("limits.steps = 1000000").declined(unbounded)]
    assert told == ["limits.steps: the plan sets no limit on steps, the site allows 1,000,000"]


def test_ceilings_of_training_do_not_bind_evaluation() -> None:
    evaluating = Case(CASE.plan, "coast", RUN, "tiny", None, TaskType.EVALUATE)
    tight = "[limits]\nsteps = 1\nepochs = 0.1\nrank = 1"
    assert not standing(tight).declined(evaluating)
    assert standing("limits.tokens_per_text = 8").declined(evaluating)


def test_a_base_model_may_be_pinned_to_a_revision() -> None:
    assert not standing(f'base_models = ["tiny@{tiny.REVISION}"]').declined(CASE)
    assert standing(f'base_models = ["tiny@{"2" * 40}"]').declined(CASE)


def test_an_empty_list_allows_nothing() -> None:
    for name in ("federations", "base_models", "tasks", "work"):
        assert [found.rule for found in standing(f"{name} = []").declined(CASE)] == [name]
    assert [found.rule for found in standing("windows = []").closed("coast")] == ["windows"]


@given(seconds=st.integers(-(10**7), 10**7))
def test_consent_ends_at_its_hour(seconds: int) -> None:
    ends_at = NOW + timedelta(seconds=seconds)
    declined = standing("require_consent = true", {RUN: ends_at}).declined(CASE)
    assert bool(declined) == (ends_at <= NOW)


def test_consent_is_for_one_run(tmp_path: Path) -> None:
    file = tmp_path / consents.FILE
    consents.give(file, OTHER, ends_at=NOW + timedelta(days=1), now=NOW)
    consents.give(file, RUN, ends_at=NOW + timedelta(days=1), now=NOW)
    assert set(consents.read(file)) == {RUN, OTHER}
    revoked = [consents.revoke(file, RUN, now=NOW) for _ in range(2)]
    assert revoked == [True, False]
    assert set(consents.read(file)) == {OTHER}
    later = NOW + timedelta(days=2)
    consents.give(file, RUN, ends_at=later + timedelta(days=1), now=later)
    assert set(consents.read(file)) == {RUN}


# Deny is monotone.

times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
days = st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1)
windows = st.lists(
    st.fixed_dictionaries({"days": days.map(sorted), "from": times, "to": times}), max_size=3
)
budgets = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("device_hours", "upload_mb", "download_mb"), st.floats(0, 3))
)
SECTION = {
    "paused": st.booleans(),
    "windows": windows,
    "base_models": st.sets(st.sampled_from(["tiny", "huge"])).map(sorted),
    "tasks": st.sets(st.sampled_from(["sequence_classification", "causal_lm"])).map(sorted),
    "work": st.sets(st.sampled_from(["train", "evaluate"])).map(sorted),
    "privacy": st.sampled_from(["none", "records", "strict"]),
    "require_consent": st.booleans(),
    "limits": st.fixed_dictionaries(
        {},
        optional={
            "steps": st.integers(1, 1000),
            "epochs": st.floats(0.5, 4),
            "rank": st.integers(1, 8),
            "tokens_per_text": st.integers(8, 64),
        },
    ),
    "per_day": budgets,
    "total": budgets,
}
sections = st.fixed_dictionaries({}, optional=SECTION)
policies = st.fixed_dictionaries(
    {},
    optional={
        **SECTION,
        "federations": st.sets(st.sampled_from(["coast", "hills"])).map(sorted),
        "federation": st.dictionaries(st.sampled_from(["coast", "hills"]), sections),
    },
)
plans = st.builds(
    lambda task, **training: tiny.plan(**training).model_copy(update=task),
    st.sampled_from([{}, {"task": CausalLanguageModelling(max_tokens=32)}]),
    epochs=st.floats(0.5, 4),
    max_steps=st.none() | st.integers(1, 1000),
)
cases = st.builds(
    Case,
    plans,
    federation=st.sampled_from(["coast", "hills", "dunes"]),
    run=st.sampled_from([RUN, OTHER]),
    base=st.sampled_from(["tiny", "huge"]),
    revision=st.just(tiny.REVISION),
    work=st.sampled_from(TaskType),
    rank=st.integers(1, 8),
)
uses = st.builds(Use, st.floats(0, 10**4), st.integers(0, 3 * 10**6), st.integers(0, 3 * 10**6))
records = st.builds(
    Record,
    federation=st.sampled_from(["coast", "hills"]),
    days=st.dictionaries(st.sampled_from([NOW.date(), NOW.date() - timedelta(1)]), uses),
)
books = st.builds(Book, tasks=st.dictionaries(st.uuids(), records, max_size=3))


def added(known: dict[str, object], more: dict[str, object]) -> dict[str, object]:
    """What is there stays; rules that are not there yet are added, in every section."""
    merged = {**more, **known}
    for name in known.keys() & more.keys():
        if isinstance(known[name], dict):
            merged[name] = added(known[name], more[name])
    return merged


@given(known=policies, more=policies, case=cases, book=books, when=st.integers(0, 14 * 24 * 60))
def test_adding_a_rule_never_allows_more(known, more, case, book, when) -> None:
    now = NOW + timedelta(minutes=when)
    given = {RUN: NOW + timedelta(days=7)}

    def allows(document: dict[str, object]) -> bool:
        found = Standing(Policy.model_validate(document), given, book, now)
        return not found.closed(case.federation) and not found.declined(case)

    if allows(added(known, more)):
        assert allows(known)


@given(case=cases, book=books)
def test_no_rules_allow_everything(case: Case, book: Book) -> None:
    found = Standing(Policy(), {}, book, NOW)
    assert not found.closed("coast")
    assert not found.declined(case)


@given(plan=plans, rank=st.integers(1, 8), lower=st.integers(1, 8), higher=st.integers(1, 8))
def test_a_lower_ceiling_never_allows_more(plan: Plan, rank, lower, higher) -> None:
    low, high = sorted((lower, higher))
    case, facts = Case(plan, work=TaskType.TRAIN, rank=rank), Facts(NOW)
    if not list(lasting(Rules(limits=Limits(rank=low)), case, facts)):
        assert not list(lasting(Rules(limits=Limits(rank=high)), case, facts))


# A wrong file.

WRONG = {
    "rank = 3": "rank: no such rule",
    "limits.setps = 3": "limits.setps: no such rule",
    '[federation."coast"]\nlimits.setps = 3': "federation.coast.limits.setps: no such rule",
    '[federation."coast"]\nfederations = []': "federation.coast.federations: no such rule",
    '[[windows]]\nfrom = "8:00"\nto = "9:00"': "windows.0.from: String should match",
    '[[windows]]\nfrom = "08:00"': "windows.0.to: Field required",
    '[[windows]]\nfrom = "08:00"\nto = "09:00"\ndays = ["monday"]': "windows.0.days.0: Input",
    'timezone = "Atlantis/Capital"': "timezone: no time zone that this machine knows",
    'timezone = "../../etc/passwd"': "timezone: no time zone that this machine knows",
    'tasks = ["casual_lm"]': "tasks.0: no task type; there are",
    "limits.steps = 0": "limits.steps: Input should be greater than or equal to 1",
    "limits.steps = true": "limits.steps: Input should be a valid integer",
    'limits.steps = "3"': "limits.steps: Input should be a valid integer",
    "per_day.device_hours = -1": "per_day.device_hours: Input should be greater than or equal",
    "per_day.device_hours = nan": "per_day.device_hours: Input should be a finite number",
    "paused = 1": "paused: Input should be a valid boolean",
    'privacy = "some"': "privacy: Input should be 'none', 'records' or 'strict'",
    'federations = "coast"': "federations: Input should be a valid tuple",
    "paused = ": "policy.toml is no TOML: Invalid value (at ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_refused_with_the_name_of_what_is_wrong(text: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(PolicyFault) as fault:
        read(file)
    assert WRONG[text] in str(fault.value)


def test_a_file_that_is_no_text_or_closed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyFault, match="no TOML"):
        read(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(PolicyFault, match="cannot be read"):
        read(file)
    assert read(tmp_path / "none.toml") == Policy()


@pytest.mark.parametrize("name", ["consents.json", "usage.json"])
def test_what_the_rules_need_fails_closed_too(name: str, tmp_path: Path) -> None:
    from agent.home import Home

    (tmp_path / name).write_text("{")
    with pytest.raises(PolicyFault, match=f"{name} is damaged"):
        Standing.read(Home(tmp_path), NOW)

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.utils.translation import override

from hub.catalogue.models import (
    Alias,
    BaseModelDraft,
    Distance,
    MergedModel,
    ModelVersion,
    ProbeScore,
    Push,
    Upload,
)
from hub.common.models import Event, Stateful
from hub.common.sentences import PATTERNS, sentence
from hub.contributions.models import Case, Valuation
from hub.federations.models import Federation, Participation, Proposal
from hub.notices.models import Webhook
from hub.operations.models import FailedJob
from hub.organisations.models import Agent, Invitation, Organisation
from hub.runs.models import Recomputation, Round, Run, Task, Update
from hub.runs.stacked_models import Stacking

MODELS = (Organisation, Invitation, Agent, Federation, Participation, ModelVersion, Upload)
MODELS += (Alias, BaseModelDraft, Distance, MergedModel, Proposal, Push)
MODELS += (Run, Round, Task, Update, Recomputation, ProbeScore, Stacking, Case, Valuation)
MODELS += (Webhook,)
MODELS += (FailedJob,)


def event(kind: str, *, came_from: str = "", reason: str = "", **data: object) -> Event:
    actor = {"actor_kind": "user", "actor_label": "Ada"}
    return Event(
        kind=kind, subject_id=uuid4(), from_state=came_from, reason=reason, data=data, **actor
    )


EXAMPLES = [
    (
        event("task.leased", organisation="Bergen Bank", agent="vault-1", round=2, task="train"),
        "Bergen Bank's agent 'vault-1' started training for round 2",
    ),
    (
        event("task.completed", organisation="Bergen Bank", agent="vault-1", task="evaluate"),
        "Bergen Bank's agent 'vault-1' finished evaluation",
    ),
    (
        event("round.closed", round=3, summary="Closed with 3 of 4: Delta Clinic missed it."),
        "Round 3 closed with 3 of 4: Delta Clinic missed it",
    ),
    (event("round.closed", round=3, have=3, need=4), "Round 3 closed with 3 of 4"),
    (event("round.closed"), "A round closed"),
    (
        event(
            "task.queued",
            came_from="leased",
            organisation="Delta Clinic",
            agent="d1",
            round=1,
            reason="the agent fell silent",
        ),
        "The work of Delta Clinic's agent 'd1' in round 1 is offered again: the agent fell silent",
    ),
    (event("run.running", run="Tickets"), "The run 'Tickets' is under way"),
    (event("run.running", came_from="paused", run="Tickets"), "Ada resumed the run 'Tickets'"),
    (event("run.cancelled", reason="wrong labels"), "Ada cancelled the run: wrong labels"),
    (
        event("update.rejected", organisation="Delta Clinic", reason="non_finite"),
        "The update of Delta Clinic was rejected: non_finite",
    ),
    (event("version.released", number=4), "Ada released version 4"),
    (event("version.released", came_from="retired", number=3), "Ada went back to version 3"),
    (event("widget.was_moved", reason="too heavy"), "Widget was moved: too heavy"),
]


@pytest.mark.parametrize(("happened", "expected"), EXAMPLES, ids=[e for _, e in EXAMPLES])
def test_what_happened_reads_as_a_sentence(happened, expected):
    assert sentence(happened) == expected


def states() -> list[str]:
    """The kind of every transition that a model has."""
    return [
        f"{model.subject}.{state}"
        for model in MODELS
        for state in {target for targets in model.transitions.values() for target in targets}
    ]


def test_every_model_with_states_is_known_here():
    concrete = {model for model in Stateful.__subclasses__() if not model._meta.abstract}
    assert concrete == set(MODELS)


@pytest.mark.parametrize("kind", sorted(states()))
def test_every_transition_has_its_sentence(kind):
    assert kind in PATTERNS


@pytest.mark.parametrize("kind", sorted(PATTERNS))
def test_a_sentence_stands_without_any_details(kind):
    kind, _, came_from = kind.partition(" from ")
    text = sentence(event(kind, came_from=came_from))
    assert re.fullmatch(r"[A-Z][^{}\[\]|]*[^\s:,]", text), text
    assert "  " not in text


def test_what_people_typed_is_not_read_as_a_pattern():
    told = sentence(event("run.paused", run="{actor} [x|y]", reason="{who}"))
    assert told == "Ada paused the run '{actor} [x|y]': {who}"


def test_odd_data_is_passed_over():
    told = sentence(event("run.paused", run=["a"], reason="", round={"x": 1}, version=None))
    assert told == "Ada paused the run"


def test_what_the_hub_wrote_itself_is_said_in_the_reader_s_words():
    vote = event("proposal.voted", organisation="Bergen Bank", choice="yes")
    with override("de"):
        assert sentence(vote) == "Bergen Bank stimmte ja"
        assert sentence(event("proposal.voted", organisation="yes", choice="perhaps")) == (
            "Yes stimmte perhaps"
        )
        acted = event("run.nudged")
        acted.actor_kind, acted.actor_label = "hub", "the hub"
        assert sentence(acted) == "Der Hub sah nach dem Lauf"

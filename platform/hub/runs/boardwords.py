"""What the page of a run says in sentences: how far it is, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.utils.translation import ngettext

from hub.runs.models import Round, RoundState, RunState

SENTENCES: Mapping[str, str] = {
    RunState.DRAFT: _noop("A draft: nobody has been asked for anything yet."),
    RunState.QUEUED: _noop("The hub prepares the adapter that round 1 starts from."),
    RunState.PAUSED: _noop(
        "Paused after %(done)s of %(rounds)s. No work is handed out; what agents have begun may "
        "still come in."
    ),
    RunState.FAILED: _noop("Ended after %(done)s of %(rounds)s."),
    RunState.CANCELLED: _noop("Stopped after %(done)s of %(rounds)s."),
}
STEPS: Mapping[str, str] = {
    RoundState.OPEN: _noop("Round %(number)s of %(count)s opens."),
    RoundState.COLLECTING: _noop("Round %(number)s of %(count)s is collecting: %(have)s are in."),
    RoundState.AGGREGATING: _noop(
        "Round %(number)s of %(count)s is being aggregated into the next version."
    ),
    RoundState.EVALUATING: _noop(
        "Round %(number)s of %(count)s is being measured: %(have)s are in."
    ),
}


def sentence_of(state: str, *, count: int, done: int) -> str:
    """What a state comes to, after so many of the plan's rounds; empty while the run goes on."""
    if state == RunState.COMPLETED:
        words = ngettext("Its only round is done.", "All %(count)s rounds are done.", count)
        return words % {"count": count}
    if state not in SENTENCES:
        return ""
    rounds = ngettext("%(count)s round", "%(count)s rounds", count) % {"count": count}
    return _(SENTENCES[state]) % {"done": done, "rounds": rounds}


def step_of(current: Round, *, count: int, have: str) -> str:
    """Where the present round stands; `have`: «3 of 4 updates»."""
    if current.state not in STEPS:
        return _("The next round opens in a moment.")
    return _(STEPS[current.state]) % {"number": current.number, "count": count, "have": have}


def undecided_of(names: Sequence[str]) -> str:
    """Whose updates wait for a person's decision; empty: nobody's."""
    if not names:
        return ""
    whose = _(" and of ").join(names)
    return _(
        "The update of %(names)s looks wrong. The round waits for the lead organisation until its "
        "deadline."
    ) % {"names": whose}


def after_words(number: int) -> str:
    return _("After round %(number)s") % {"number": number}

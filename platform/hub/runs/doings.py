"""Who does what in a round: one line for each organisation, in words that its people use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from federation.protocol import DECLINED_BY_POLICY, TaskType
from hub.common.templatetags.foedus import words as state_words
from hub.federations.places import Place
from hub.runs.models import Task, TaskState, Update
from hub.runs.quarantine import sentence_of

DONE = frozenset({"accepted", "completed", "received"})
WORDS: Mapping[str, str] = {
    "queued": _noop("waiting"),
    "received": _noop("delivered"),
    "quarantined": _noop("held for review"),
}
PHASES: Mapping[str, str] = {
    "starting": _noop("starting"),
    "fetching": _noop("fetching"),
    "training": _noop("training"),
    "evaluating": _noop("evaluating"),
    "uploading": _noop("uploading"),
}
CODES: Mapping[str, str] = {
    "norm_outlier": _noop("it moves the model far more than the others"),
    "suspect_zero": _noop("it changes nothing"),
    "against_others": _noop("it points against the others"),
    "copied_update": _noop("it is nearly the same as another's"),
    "probe_timeout": _noop("it took too long"),
    "worse_on_probe": _noop("it makes the model worse on the public probe set"),
    "non_finite": _noop("it holds values that are no numbers"),
    "examples_above_declaration": _noop("it says more examples than were declared"),
    "judged": _noop("a person of the lead rejected it"),
    "lease_expired": _noop("its agent fell silent"),
    "out_of_memory": _noop("its device ran out of memory"),
    "disk_full": _noop("its disk is full"),
    DECLINED_BY_POLICY: _noop("its policy forbids it"),
    "not_taking_part": _noop("its organisation takes no part any more"),
    "ledger_fork": _noop("the ledger it was shown is not the one it knew"),
    "ledger_regression": _noop("the ledger it was shown lacks entries that it had seen"),
    "ledger_stale": _noop("no signed checkpoint of the ledger came in time"),
}


def in_words(code: str) -> str:
    """A stable code as a reader expects it; codes without words of their own keep theirs."""
    return _(CODES[code]) if code in CODES else code.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Doing:
    """What one organisation does in the present step of a round, or did."""

    place: Place
    state: str
    task: Task | None = None
    update: Update | None = None
    detail: str = ""  # why, where it did not go well

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def hue(self) -> int:
        return self.place.hue

    @property
    def is_done(self) -> bool:
        return self.state in DONE

    @property
    def words(self) -> str:
        """The state as its badge says it: the phase while an agent works."""
        if self.state == "leased":
            phase = str(self._progress.get("phase") or "starting")
            return _(PHASES[phase]) if phase in PHASES else phase
        if self.state == "completed":
            return _("evaluated")
        return _(WORDS[self.state]) if self.state in WORDS else state_words(self.state)

    @property
    def agent(self) -> str:
        return self.task.agent.name if self.task and self.task.agent else ""

    @property
    def rule(self) -> str:
        """Of the site's policy, by which the task was declined."""
        is_declined = self.task is not None and self.task.failure_code == DECLINED_BY_POLICY
        return self.task.failure_detail.partition(": ")[0] if is_declined and self.task else ""

    @property
    def step(self) -> float | None:
        return self._told("step") if self.steps else None

    @property
    def steps(self) -> float | None:
        return self._told("steps") or None

    @property
    def loss(self) -> float | None:
        """The latest; once delivered, the one that the update states."""
        if self.update is not None:
            stated: Mapping[str, float] = self.update.metrics
            return stated.get("loss")
        return self._told("loss")

    @property
    def pace(self) -> float | None:
        """Examples a second while it trains, and over the whole once delivered."""
        if self.update is not None:
            seconds = self.update.device_seconds
            return self.update.examples / seconds if seconds else None
        return self._told("examples_per_second")

    @property
    def tokens_pace(self) -> float | None:
        """Tokens a second, likewise."""
        if self.update is not None:
            seconds = self.update.device_seconds
            return self.update.tokens / seconds if seconds and self.update.tokens else None
        return self._told("tokens_per_second")

    @property
    def learning_rate(self) -> float | None:
        return self._told("learning_rate")

    @property
    def memory_bytes(self) -> float | None:
        """The most that the work has held on its device."""
        return self._told("device_memory_bytes")

    @property
    def utilisation(self) -> float | None:
        """How busy the device is, from 0 to 1."""
        return self._told("device_utilisation")

    @property
    def sign(self) -> str:
        """Why the update was set aside, in one sentence."""
        return sentence_of(self.update) if self.update else ""

    @property
    def longest_norm(self) -> float:
        """The longer one of the update's norm and the usual one, for bars."""
        found: Mapping[str, float] = self.update.evidence if self.update else {}
        return max(found.get("norm", 0.0), found.get("usual_norm", 0.0))

    @property
    def start_loss(self) -> float:
        """On the run's probe set, at the start of the round; 0 where nobody measured."""
        return self._probed.get("start", 0.0)

    @property
    def loss_alone(self) -> float:
        """The same with nothing but this update."""
        return self.start_loss + self._probed.get("change", 0.0)

    @property
    def highest_loss(self) -> float:
        """The higher one of the two, for bars."""
        return max(self.start_loss, self.loss_alone)

    @property
    def _probed(self) -> Mapping[str, float]:
        found: Mapping[str, float] = self.update.evidence.get("probe", {}) if self.update else {}
        return found

    @property
    def heard_at(self) -> datetime | None:
        """When this task was last heard of; of one that waits, when its agents were."""
        if self.task is None or self.task.state == TaskState.QUEUED:
            return self.place.seen_at
        if self.task.lease_expires_at is not None:
            return self.task.lease_expires_at - timedelta(seconds=settings.LEASE_SECONDS)
        return self.task.ended_at

    @property
    def _progress(self) -> Mapping[str, Any]:
        is_leased = self.task is not None and self.task.state == TaskState.LEASED
        return self.task.progress if is_leased and self.task else {}

    def _told(self, name: str) -> float | None:
        value = self._progress.get(name)
        return value if isinstance(value, int | float) else None


def doings(places: Iterable[Place], tasks: Sequence[Task], *, run_goes_on: bool) -> list[Doing]:
    """One line for each place that was asked for something in the round.

    `tasks` are the round's, with `agent` and `update`. An evaluation hides the training before it.
    """
    training = {t.participation_id: t for t in tasks if t.type == TaskType.TRAIN}
    evaluating = {t.participation_id: t for t in tasks if t.type == TaskType.EVALUATE}
    present = evaluating or training
    return [
        _doing(place, present[place.id], run_goes_on=run_goes_on)
        for place in places
        if place.id in present
    ]


def training_of(
    places: Iterable[Place], tasks: Sequence[Task], *, run_goes_on: bool
) -> list[Doing]:
    """The same for the training alone, whatever came after it."""
    training = [task for task in tasks if task.type == TaskType.TRAIN]
    return doings(places, training, run_goes_on=run_goes_on)


def _doing(place: Place, task: Task, *, run_goes_on: bool) -> Doing:
    update = update_of(task)
    if update is not None:
        return Doing(place, _verdict(update), task, update, in_words(update.verdict_code))
    if task.state == TaskState.FAILED:
        return Doing(place, _failure(task), task, detail=why(task))
    if task.state == TaskState.CANCELLED:
        missed = Doing(place, "missed", task, detail=_("the deadline passed first"))
        return missed if run_goes_on else Doing(place, "cancelled", task)
    return Doing(place, task.state, task, detail=_waiting(place, task))


def update_of(task: Task) -> Update | None:
    """The task's update, where it was selected with it."""
    return getattr(task, "update", None)


def _verdict(update: Update) -> str:
    return "late" if update.is_late else update.state


def _failure(task: Task) -> str:
    is_declined = task.failure_code.startswith(("declined", "policy", "ledger"))
    return "declined" if is_declined else "failed"


def why(task: Task) -> str:
    """Why the task failed, with what its agent told: «unknown label: 3 of 9 examples have one»."""
    words = in_words(task.failure_code)
    return f"{words}: {task.failure_detail}" if task.failure_detail else words


def _waiting(place: Place, task: Task) -> str:
    if task.state != TaskState.QUEUED:
        return ""
    if place.seen_at is None:
        return _("none of its agents has ever connected")
    return _("attempt %(number)s") % {"number": task.attempts + 1} if task.attempts else ""


def counted(rows: Sequence[Doing], *, is_measuring: bool = False) -> str:
    """«3 of 4 updates», or evaluations."""
    told = {"done": sum(row.is_done for row in rows), "count": len(rows)}
    if is_measuring:
        return _("%(done)s of %(count)s evaluations") % told
    return _("%(done)s of %(count)s updates") % told

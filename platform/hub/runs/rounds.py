"""What the page of a round shows: its story, who counted and why not, and what was made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.utils.translation import ngettext

from federation.plan import Plan
from federation.protocol import DECLINED_BY_POLICY, TaskType
from hub.accounts.models import User
from hub.catalogue.evaluation.measures import Scores, measure_of, scores
from hub.catalogue.models import Evaluation
from hub.common.models import Event
from hub.common.templatetags.foedus import duration, human_bytes
from hub.federations.places import Place, places_in
from hub.runs.boards import Result
from hub.runs.charts import Chart
from hub.runs.commitment_models import Commitment, Unveiling
from hub.runs.doings import Doing, counted, doings, in_words, training_of, update_of
from hub.runs.likeness import Likeness, likeness_in
from hub.runs.models import Comparison, Round, RoundState, Task, Update, UpdateState
from hub.runs.quarantine import is_set_aside

MOST_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of the round's story; without a time it is still to come."""

    title: str
    state: str
    at: datetime | None
    text: str = ""
    is_on_record: bool = False  # the text was written then, in English


@dataclass(frozen=True, slots=True)
class Line:
    """What one organisation gave to the round."""

    doing: Doing
    weight: float | None

    @property
    def update(self) -> Update | None:
        return self.doing.update

    @property
    def loss_change(self) -> float | None:
        """What the update by itself does to the loss on the run's probe set."""
        found: Mapping[str, Any] = self.update.evidence.get("probe", {}) if self.update else {}
        return found.get("change")

    @property
    def loss_share(self) -> float:
        """The size of that, as a part of the loss before; for a bar."""
        change = abs(self.loss_change or 0.0)
        start = self.update.evidence["probe"]["start"] if self.update and change else 0.0
        return min(change / start, 1.0) if start else 0.0


class RoundBoard:
    def __init__(self, round_: Round, user: User) -> None:
        """`round_` comes with `run.federation` and `version`."""
        self.round = round_
        self.run = round_.run
        self.user = user

    @cached_property
    def plan(self) -> Plan:
        return self.run.typed_plan

    @cached_property
    def places(self) -> Mapping[UUID, Place]:
        return places_in(self.run.federation_id, self.user)

    @property
    def may_judge(self) -> bool:
        """The reader acts for the lead organisation."""
        return any(p.is_lead and p.is_own and p.is_active for p in self.places.values())

    @cached_property
    def tasks(self) -> list[Task]:
        tasks = self.round.tasks.select_related("agent", "update__artifact", "update__agent")
        return list(tasks)

    @property
    def _goes_on(self) -> bool:
        return self.round.state != RoundState.FAILED

    @cached_property
    def training(self) -> list[Doing]:
        return training_of(self.places.values(), self.tasks, run_goes_on=self._goes_on)

    @cached_property
    def measuring(self) -> list[Doing]:
        tasks = [task for task in self.tasks if task.type == TaskType.EVALUATE]
        return doings(self.places.values(), tasks, run_goes_on=self._goes_on)

    @property
    def words(self) -> str:
        return counted(self.training)

    @property
    def missing(self) -> list[Doing]:
        """Whose update does not count, with the reason; while it is collecting, who is out."""
        is_open = self.round.state == RoundState.COLLECTING
        out = MISSING - {UpdateState.QUARANTINED} if is_open else MISSING
        return [row for row in self.training if row.state in out]

    @cached_property
    def lines(self) -> list[Line]:
        contributors = self.round.version.contributors if self.round.version else []
        weights = {one["update"]: one["weight"] for one in contributors}
        return [
            Line(row, weights.get(str(row.update.pk)) if row.update else None)
            for row in self.training
        ]

    @property
    def is_probed(self) -> bool:
        """Whether it is known what single updates do to the loss on the probe set."""
        return any(line.loss_change is not None for line in self.lines)

    @property
    def probe_failure(self) -> str:
        """Why it is not, though the run has a set; in words."""
        found: Comparison | None = getattr(self.round, "comparison", None)
        return in_words(found.probe_failure) if found and found.probe_failure else ""

    @property
    def set_aside(self) -> list[Doing]:
        """Updates that a person has to decide on, or has decided on."""
        return [row for row in self.training if row.update and is_set_aside(row.update)]

    @property
    def without_decision(self) -> str:
        """What happens if nobody decides, up to the moment when it does."""
        if self.plan.rounds.quarantine == "leave_out":
            return _("The round waits only as long as it lacks its quorum, at the latest")
        return _("Without a decision the round closes without this update")

    @property
    def _counting(self) -> list[Update]:
        return [r.update for r in self.training if r.update and r.state == UpdateState.ACCEPTED]

    @property
    def counting(self) -> int:
        return len(self._counting)

    @property
    def examples(self) -> int:
        return sum(update.examples for update in self._counting)

    @property
    def device_seconds(self) -> float:
        return sum(row.update.device_seconds for row in self.training if row.update)

    @property
    def lasted(self) -> timedelta:
        return (self.round.ended_at or timezone.now()) - self.round.created_at

    @cached_property
    def neighbours(self) -> Mapping[str, UUID]:
        """The rounds before and after, as `previous` and `next`."""
        number = self.round.number
        around = self.run.rounds.filter(number__in=(number - 1, number + 1))
        names = {number - 1: "previous", number + 1: "next"}
        return {names[n]: pk for n, pk in around.values_list("number", "pk")}

    # ------------------------------------------------------------------ figures

    @cached_property
    def scores(self) -> Scores:
        """After this round, beside the round before."""
        number = self.round.number
        found = list(
            Evaluation.objects.filter(run_id=self.run.pk, round_number__in=(number - 1, number))
        )
        after = [one for one in found if one.round_number == number]
        before = [one for one in found if one.round_number == number - 1]
        return scores(measure_of(self.run.plan), after, before, expected=len(self.run.evaluators))

    @property
    def results(self) -> list[Result]:
        each = self.scores.by_participation
        return [Result(place, each[place.id]) for place in self.places.values() if place.id in each]

    @property
    def chart_of_norms(self) -> Chart | None:
        known = [row for row in self.training if row.update and row.update.norm is not None]
        if len(known) < 2:  # noqa: PLR2004 (nothing to compare)
            return None
        norms = [row.update.norm for row in known if row.update]
        return {
            "labels": [row.name for row in known],
            "series": [{"name": _("Norm of the change"), "values": norms, "hue": 0}],
        }

    @cached_property
    def likeness(self) -> Likeness | None:
        return likeness_in(self.round, self.places)

    @cached_property
    def report(self) -> Mapping[str, Any] | None:
        """What the aggregation said of itself, with names for digests."""
        report = self.round.version.report if self.round.version else {}
        if not report:
            return None
        names = {row.update.artifact_id: row.name for row in self.training if row.update}
        ranks = sorted(report.get("ranks", {}).values())
        return {
            **report,
            "clipped": [names.get(digest, digest[:8]) for digest in report.get("clipped", ())],
            "modules": len(ranks),
            "lowest_rank": ranks[0] if ranks else None,
            "highest_rank": ranks[-1] if ranks else None,
        }

    # -------------------------------------------------------------------- story

    @cached_property
    def unveiling(self) -> Unveiling | None:
        """When updates are taken, where organisations commit to theirs first."""
        if self.plan.rounds.commit_seconds is None:
            return None
        return Unveiling.objects.filter(round=self.round).first()

    def _committed(self, unveiling: Unveiling) -> str:
        tasks = [task for task in self.tasks if task.type == TaskType.TRAIN]
        have = Commitment.objects.filter(round=self.round).count()
        until = localtime(unveiling.deadline_at)
        return _(
            "%(have)s of %(count)s have committed. They are taken once all have, at %(time)s at "
            "the latest."
        ) % {"have": have, "count": len(tasks), "time": f"{until:%H:%M}"}

    @cached_property
    def story(self) -> list[Moment]:
        """What happened, in order, and what is to come."""
        of_updates = [update.pk for task in self.tasks if (update := update_of(task))]
        of_tasks = [task.pk for task in self.tasks if task.type == TaskType.TRAIN]
        events = Event.objects.filter(
            run_id=self.run.pk, subject_id__in=[self.round.pk, *of_tasks, *of_updates]
        ).order_by("pk")[:MOST_EVENTS]
        told = [moment for event in events if (moment := self._moment(event))]
        return [*told, *self._to_come()]

    def _moment(self, event: Event) -> Moment | None:
        title = TITLES.get(_key(event)) or TITLES.get(event.kind)
        if title is None:
            return None
        facts = {"organisation": _("An organisation"), **event.data}
        state = STATES.get(_key(event), event.to_state)
        told = _(title).format_map(Lenient(facts))
        is_on_record = event.kind == "round.closed"
        return Moment(told, state, event.at, self._text(event), is_on_record)

    def _text(self, event: Event) -> str:
        data = event.data
        match event.kind:
            case "round.collecting":
                asked = data.get("expected", 0)
                return ngettext(
                    "%(count)s organisation asked, %(quorum)s needed.",
                    "%(count)s organisations asked, %(quorum)s needed.",
                    asked,
                ) % {"count": asked, "quorum": self.plan.rounds.quorum}
            case "update.received" | "update.late":
                size = human_bytes(data.get("size_bytes"))
                examples = f"{data.get('examples', 0):,}"
                return _("%(examples)s examples, %(size)s.") % {"examples": examples, "size": size}
            case "task.committed" | "round.revealing" | "round.aggregating":
                return _(SAID[event.kind]).format_map(Lenient(data))
            case "round.evaluating":
                return self._aggregated()
            case "round.closed":
                return str(data.get("summary", ""))
        by = f" ({event.actor_label})" if event.actor_kind == "user" else ""
        return f"{_reason(event)}{by}" if event.reason else ""

    def _aggregated(self) -> str:
        report = self.report
        if not report or "seconds" not in report:
            return _("Aggregated; now every organisation measures it on its own test data.")
        return _(
            "Aggregated in %(took)s; now every organisation measures it on its own test data."
        ) % {"took": duration(report["seconds"])}

    def _to_come(self) -> Iterator[Moment]:
        if self.unveiling is not None and self.unveiling.opened_at is None:
            yield Moment(_("Updates"), "queued", None, self._committed(self.unveiling))
        if self.round.state == RoundState.COLLECTING:
            waits = _("Starts with the last update, or at the deadline.")
            yield Moment(_("Aggregation"), "queued", None, waits)
        elif self.round.state == RoundState.EVALUATING:
            have = counted(self.measuring, is_measuring=True)
            said = _("%(have)s are in.") % {"have": have}
            yield Moment(_("Measuring"), "evaluating", None, said)


def _is_declined(event: Event) -> bool:
    return event.kind == "task.failed" and event.data.get("code") == DECLINED_BY_POLICY


def _reason(event: Event) -> str:
    """In words; a policy's rule keeps its name."""
    declined = f"{in_words(DECLINED_BY_POLICY)}: {event.reason}"
    return declined if _is_declined(event) else in_words(event.reason)


def _key(event: Event) -> str:
    """The kind of an event, and of one kind what makes a difference to the reader."""
    if _is_declined(event):
        return "task.failed by policy"
    if event.kind == "task.cancelled" and event.reason == PASSED:
        return "task.cancelled late"
    return f"{event.kind} from {event.from_state}"


class Lenient(dict[str, Any]):
    """Facts of an old event may lack one that a sentence names."""

    def __missing__(self, key: str) -> str:
        return "–"


MISSING = frozenset(
    {"missed", "failed", "declined", "rejected", "late", "cancelled", "quarantined"}
)
PASSED = "the deadline has passed"  # why a round's open tasks are withdrawn when it closes
STATES: Mapping[str, str] = {
    "update.late from ": "late",
    "task.cancelled late": "missed",
    "task.failed by policy": "declined",
}
SAID: Mapping[str, str] = {
    "task.committed": _noop("Which update it will send is settled; nobody has seen it."),
    "round.revealing": _noop("{committed} of {expected} have committed to one."),
    "round.aggregating": _noop("From here on nothing more is let in."),
}
TITLES: Mapping[str, str] = {
    "round.collecting": _noop("Opened"),
    "task.committed": _noop("{organisation} committed"),
    "round.revealing": _noop("Open for updates"),
    "update.received": _noop("{organisation} delivered"),
    "update.late": _noop("{organisation} came too late"),
    "update.quarantined": _noop("The update of {organisation} was set aside"),
    "update.accepted from quarantined": _noop("The update of {organisation} counts after all"),
    "update.rejected": _noop("The update of {organisation} was rejected"),
    "task.failed": _noop("{organisation} could not train"),
    "task.failed by policy": _noop("{organisation} declined"),
    "task.cancelled": _noop("{organisation} was called off"),
    "task.cancelled late": _noop("{organisation} missed it"),
    "task.queued from leased": _noop("The work of {organisation} is offered again"),
    "round.aggregating": _noop("Frozen with {have} updates"),
    "round.evaluating": _noop("Version {version}"),
    "round.closed": _noop("Closed"),
    "round.failed": _noop("Ended without a result"),
}

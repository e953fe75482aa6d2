"""What the page of a run shows.

Each part is read when the template first asks for it, so that a part that is fetched again by
itself costs no more than its own queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from federation.plan import Plan
from hub.accounts.models import User
from hub.catalogue.evaluation.measures import Measure, Score, measure_of, scores
from hub.catalogue.evaluation.probed import OnProbe, scores_of_run, start_words
from hub.catalogue.models import BASE_ROUND, Evaluation
from hub.common.feed import Told
from hub.common.models import Event
from hub.federations.places import Place, places_in
from hub.runs import charts
from hub.runs.boardwords import after_words, sentence_of, step_of, undecided_of
from hub.runs.doings import Doing, counted, doings, in_words
from hub.runs.feed import told
from hub.runs.models import Round, RoundState, Run, RunState, Task
from hub.runs.planwords import COLUMNS, Described, described, in_one_line, survival
from hub.runs.selectors import ACTIVE_ROUNDS, events_of_run, rounds_of
from hub.runs.services.consent import waiting_sentence
from hub.runs.services.probing import probe_of

ROUNDS_SHOWN = 15
SENTENCES_SHOWN = 40
GOING_ON = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.PAUSED})
SHARES: Mapping[str, float] = {  # how far a round is when it enters a state
    RoundState.OPEN: 0.0,
    RoundState.COLLECTING: 0.0,
    RoundState.AGGREGATING: 0.7,
    RoundState.EVALUATING: 0.8,
}


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A line of the table of rounds."""

    round: Round
    have: int
    need: int
    score: Score
    lasted: timedelta


@dataclass(frozen=True, slots=True)
class Result:
    place: Place
    score: Score


class Board:
    def __init__(self, run: Run, user: User, *, before: int | None = None) -> None:
        """`before`: leaf through the rounds, to those with lower numbers."""
        self.run = run
        self.user = user
        self.before = before

    @cached_property
    def plan(self) -> Plan:
        return self.run.typed_plan

    @cached_property
    def measure(self) -> Measure:
        return measure_of(self.run.plan)

    @cached_property
    def places(self) -> Mapping[UUID, Place]:
        return places_in(self.run.federation_id, self.user)

    @cached_property
    def trainers(self) -> list[Place]:
        return [place for place in self.places.values() if place.id in set(self.run.trainers)]

    @property
    def is_going_on(self) -> bool:
        return self.run.state in GOING_ON

    @cached_property
    def last_event_id(self) -> int:
        return self.feed[0].event.pk if self.feed else 0

    # ------------------------------------------------------------- rounds

    @cached_property
    def _latest_rounds(self) -> list[Round]:
        return list(rounds_of(self.run).order_by("-number")[: ROUNDS_SHOWN + 1])

    @cached_property
    def current(self) -> Round | None:
        """The last round, whatever its state."""
        return self._latest_rounds[0] if self._latest_rounds else None

    @cached_property
    def _page_of_rounds(self) -> list[Round]:
        if self.before is None:
            return self._latest_rounds
        earlier = rounds_of(self.run).filter(number__lt=self.before).order_by("-number")
        return list(earlier[: ROUNDS_SHOWN + 1])

    @property
    def older_rounds(self) -> int | None:
        """Where the next page of rounds begins, if there are more."""
        more = len(self._page_of_rounds) > ROUNDS_SHOWN
        return self._page_of_rounds[ROUNDS_SHOWN - 1].number if more else None

    @cached_property
    def rounds(self) -> list[RoundRow]:
        """The newest first."""
        return [self._row(one) for one in self._page_of_rounds[:ROUNDS_SHOWN]]

    def _row(self, one: Round) -> RoundRow:
        have = len(one.frozen) if one.frozen else one.accepted  # type: ignore[attr-defined]
        return RoundRow(
            round=one,
            have=have,
            need=one.expected,  # type: ignore[attr-defined]
            score=self.score_after(one.number),
            lasted=(one.ended_at or timezone.now()) - one.created_at,
        )

    # ---------------------------------------------------------- who does what

    @cached_property
    def now(self) -> list[Doing]:
        if self.current is None:
            return []
        tasks = Task.objects.filter(round=self.current).select_related("agent", "update__artifact")
        places = self.places.values()
        return doings(places, list(tasks), run_goes_on=self.is_going_on or self._is_closed)

    @property
    def _is_closed(self) -> bool:
        return self.current is not None and self.current.state == RoundState.CLOSED

    @property
    def is_evaluating(self) -> bool:
        return any(row.task and row.task.type == "evaluate" for row in self.now)

    @property
    def now_done(self) -> int:
        return sum(row.is_done for row in self.now)

    @property
    def undecided(self) -> str:
        """Whose updates wait for a person, in two sentences."""
        names = [row.name for row in self.now if row.state == "quarantined"]
        return undecided_of(names) if self.is_going_on else ""

    @property
    def now_words(self) -> str:
        """«3 of 4 updates»."""
        return counted(self.now, is_measuring=self.is_evaluating)

    # ------------------------------------------------------------------ figures

    @cached_property
    def evaluations(self) -> Mapping[int, list[Evaluation]]:
        """By round, 0 being the start, before it the base; of long runs only what is shown."""
        last = self.current.number if self.current else 0
        wanted = {
            BASE_ROUND,
            *charts.thinned(last),
            *(one.number for one in self._page_of_rounds),
            last - 1,
        }
        found = Evaluation.objects.filter(run_id=self.run.pk, round_number__in=wanted)
        by_round: dict[int, list[Evaluation]] = defaultdict(list)
        for evaluation in found:
            by_round[evaluation.round_number].append(evaluation)
        return dict(by_round)

    def score_after(self, number: int) -> Score:
        """Over all test data after a round, beside the start."""
        after = self.evaluations.get(number, ())
        before = self.evaluations.get(0, ())
        return scores(self.measure, after, before, expected=len(self.run.evaluators)).whole

    @cached_property
    def score(self) -> Score:
        """The latest there is."""
        return self.score_after(max(self.evaluations, default=0))

    @cached_property
    def results(self) -> list[Result]:
        """What the run brought each organisation, measured on its own test data."""
        last = max(self.evaluations, default=0)
        if not last:
            return []
        after, before = self.evaluations[last], self.evaluations.get(0, ())
        each = scores(self.measure, after, before).by_participation
        return [Result(place, each[place.id]) for place in self.places.values() if place.id in each]

    @cached_property
    def chart_of_measure(self) -> charts.Chart | None:
        last = max(self.evaluations, default=0)
        shown = {BASE_ROUND, *charts.thinned(self.current.number if self.current else 0), last}
        points = (one for n, all_of in self.evaluations.items() if n in shown for one in all_of)
        asked = len(self.run.evaluators)
        start = charts.START if self.run.parent_version_id else charts.BASE
        chart = charts.measured_by_round(
            self.measure,
            points,
            self.places,
            expected=asked,
            probe=self._figures_on_probe,
            start=start,
        )
        is_measured = self.plan.evaluation.every != "never"
        return chart or self._coming(start if is_measured else "")

    @cached_property
    def _on_probe(self) -> Mapping[int, OnProbe]:
        """By round, 0 being the start: what the hub measures on the run's probe set."""
        last = self.current.number if self.current else 0
        scores = scores_of_run(
            run_id=self.run.pk,
            start=self.run.start_id,
            probe_id=self.run.probe_id,
            plan=self.plan,
            rounds=[*charts.thinned(last), last - 1],
        )
        return {
            number: OnProbe(after_words(number) if number else start_words(score), score)
            for number, score in scores.items()
        }

    @property
    def _figures_on_probe(self) -> Mapping[int, float | None]:
        known = {n: one.achieved for n, one in self._on_probe.items() if one.achieved}
        return {n: one.value for n, one in known.items() if one.measure == self.measure}

    @property
    def on_probe(self) -> Sequence[OnProbe]:
        """The start, and the newest that was measured or waits to be."""
        numbers = sorted(self._on_probe)
        return [self._on_probe[number] for number in dict.fromkeys((*numbers[:1], *numbers[-1:]))]

    @cached_property
    def chart_of_loss(self) -> charts.Chart | None:
        return charts.training_loss(self.run.pk, self.places) or self._coming("1")

    @cached_property
    def aggregated(self) -> list[Round]:
        """The latest rounds that have a result, the oldest first."""
        known = (one for one in self._latest_rounds if one.relative_error is not None)  # type: ignore[attr-defined]
        return list(known)[::-1]

    @property
    def last_aggregated(self) -> Round | None:
        return self.aggregated[-1] if self.aggregated else None

    @property
    def chart_of_error(self) -> charts.Chart | None:
        return charts.aggregation_error(self.aggregated)

    @property
    def ranks(self) -> Sequence[tuple[str, int]]:
        """The components in use by module, in the newest version: the fullest first."""
        found = self.last_aggregated.ranks if self.last_aggregated else {}  # type: ignore[attr-defined]
        return sorted(found.items(), key=lambda one: (-one[1], one[0]))

    def _coming(self, label: str) -> charts.Chart | None:
        """While a run goes on, a chart is there before its first point: nothing jumps."""
        is_coming = label and self.is_going_on
        return charts.nothing_yet(self.trainers, label) if is_coming else None

    @property
    def rounds_done(self) -> int:
        if self.current is None:
            return 0
        return self.current.number - (self.current.state != RoundState.CLOSED)

    @property
    def progress(self) -> float:
        """In rounds, with the share of the present one."""
        current = self.current
        if current is None or current.state not in ACTIVE_ROUNDS:
            return float(self.rounds_done)
        share, rows = SHARES[current.state], self.now
        if current.state == RoundState.COLLECTING and rows:
            share = SHARES[RoundState.AGGREGATING] * sum(map(_done_share, rows)) / len(rows)
        return self.rounds_done + share

    @property
    def lasted(self) -> timedelta | None:
        if self.run.started_at is None:
            return None
        return (self.run.ended_at or timezone.now()) - self.run.started_at

    @property
    def time_left(self) -> timedelta | None:
        """If the rounds to come last as long as those before; not of a run that waits."""
        is_going_on = self.run.state == RunState.RUNNING and not self.run.waiting_since
        if not is_going_on or self.lasted is None or self.progress < 1:
            return None
        return self.lasted * ((self.plan.rounds.count - self.progress) / self.progress)

    @property
    def lacks_probe(self) -> bool:
        """Whether its contributions cannot be measured as things stand."""
        is_under_way = self.run.state != RunState.DRAFT and not self.run.is_final
        is_wanted = is_under_way and self.plan.valuation.reads_public_probe
        return is_wanted and probe_of(self.run) is None

    @property
    def plan_words(self) -> str:
        return in_one_line(self.plan)

    @property
    def survival_words(self) -> str:
        """What the aggregation survives with those who train in this run."""
        return survival(self.plan, len(self.run.trainers))

    @property
    def plan_columns(self) -> list[list[Described]]:
        """All settings, in columns of about the same height."""
        sections = {section.name: section for section in described(self.plan)}
        return [[sections[name] for name in column] for column in COLUMNS]

    # -------------------------------------------------------------------- words

    @cached_property
    def feed(self) -> list[Told]:
        """The newest first."""
        newest = events_of_run(self.run.pk).order_by("-pk")[:SENTENCES_SHOWN]
        return told(newest)

    @cached_property
    def ending(self) -> Event | None:
        """The event that failed or cancelled the run: who, and why."""
        if self.run.state not in {RunState.FAILED, RunState.CANCELLED}:
            return None
        return Event.objects.filter(subject_id=self.run.pk, kind=f"run.{self.run.state}").last()

    @property
    def failure(self) -> str:
        """Why the run failed, as a sentence: what was said then, or what its code means."""
        said = (self.ending.reason if self.ending else "") or in_words(self.run.failure_code)
        return f"{said[:1].upper()}{said[1:].rstrip('.')}."

    @property
    def sentence(self) -> str:
        """What is going on, in one sentence."""
        count, done = self.plan.rounds.count, self.rounds_done
        return sentence_of(self.run.state, count=count, done=done) or self._step()

    def _step(self) -> str:
        waits, current = waiting_sentence(self.run), self.current
        if waits or current is None:
            return waits or _("The first round opens in a moment.")
        told = step_of(current, count=self.plan.rounds.count, have=self.now_words)
        return " ".join([told, *self._declined()])

    def _declined(self) -> Iterator[str]:
        """Who does not take part in the round, by the organisation's own rules."""
        for row in self.now:
            if row.rule:
                said = _("%(organisation)s declined by its policy: %(rule)s.")
                yield said % {"organisation": row.name, "rule": row.rule}


def _done_share(row: Doing) -> float:
    if row.is_done or row.state in {"missed", "failed", "declined", "rejected"}:
        return 1.0
    return (row.step or 0) / row.steps if row.steps else 0.0

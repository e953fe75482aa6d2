"""The site's word on every task: what is asked for, what is accepted, and what the hub is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from logging import ERROR, INFO
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError

from agent import usage
from agent.errors import TaskGone
from agent.files import write_whole
from agent.home import Home
from agent.journal import Entry, Outcome
from agent.policy import consents, document
from agent.policy.consents import Consents
from agent.policy.document import Policy, PolicyFault, Rules
from agent.policy.rules import Case, Facts, Refusal, lasting, passing, unlisted
from federation.protocol import (
    DECLINED_BY_POLICY,
    ClosedFederation,
    FailureIn,
    PolicySummary,
    TaskOffer,
)

logger = logging.getLogger(__name__)

DECLINES_FILE = "declines.json"
DECLINES_KEPT = 20


class Decline(BaseModel):
    """A task that the site declined, for its own people to look at."""

    task: UUID
    run: UUID
    federation: str
    round: int
    rule: str
    words: str
    at: AwareDatetime


_declines: TypeAdapter[list[Decline]] = TypeAdapter(list[Decline])


@dataclass(frozen=True, slots=True)
class Standing:
    """The policy with all that its rules look at, at one moment."""

    policy: Policy
    consents: Consents
    book: usage.Book
    now: datetime

    @classmethod
    def read(cls, home: Home, now: datetime) -> Self:
        """Raises PolicyFault where any of it cannot be read."""
        return cls(
            document.read(home.folder / document.FILE),
            consents.read(home.folder / consents.FILE),
            usage.read(home),
            now,
        )

    @property
    def local(self) -> datetime:
        return self.now.astimezone(self.policy.zone)

    def closed(self, federation: str) -> list[Refusal]:
        """Why a federation is not asked for work now; empty: it is."""
        sections = self._sections(federation, run=None)
        return [refusal for _, rules, facts in sections for refusal in passing(rules, facts)]

    def declined(self, case: Case) -> list[Refusal]:
        """Why a task is declined; empty: it is not."""
        sections = self._sections(case.federation, run=case.run)
        found = [refusal for _, rules, facts in sections for refusal in lasting(rules, case, facts)]
        return [*unlisted(self.policy, case), *found]

    def _sections(
        self, federation: str | None, *, run: UUID | None
    ) -> Iterator[tuple[str | None, Rules, Facts]]:
        given = consents.valid(self.consents, self.now)
        for scope, rules in self.policy.sections(federation):
            facts = Facts(
                local=self.local,
                today=self.book.today(self.local.date(), scope),
                total=self.book.total(scope),
                has_consent=run in given,
            )
            yield scope, rules, facts


class Site:
    """What the poller asks. The files are read each time: a change acts on the next task."""

    def __init__(self, home: Home, *, clock: Callable[[], datetime] | None = None) -> None:
        self._home = home
        self._clock = clock or (lambda: datetime.now(UTC))
        self._problem = ""  # the last one that was logged

    def open(self, federations: Iterable[str]) -> tuple[tuple[str, ...], PolicySummary | None]:
        """Which of the federations to ask for work, and what the hub may know of the policy."""
        slugs = sorted(federations)
        try:
            standing = self._standing()
        except PolicyFault:
            closed = tuple(ClosedFederation(federation=slug, rule="unreadable") for slug in slugs)
            return (), PolicySummary(state="unreadable", closed=closed)
        refusals = {slug: standing.closed(slug) for slug in slugs}
        closed = tuple(
            ClosedFederation(federation=slug, rule=found[0].rule)
            for slug, found in refusals.items()
            if found
        )
        return tuple(slug for slug in slugs if not refusals[slug]), _summary(standing, closed)

    def admit(self, entry: Entry, *, is_resumed: bool) -> None:
        """Let a task begin, or write down that it is declined, once and for all.

        Raises:
            TaskGone: it is to be handed back, since what forbids it will pass. What had begun
                before a restart may go on outside of its hours.
        """
        if entry.outcome:
            return
        try:
            standing = self._standing()
            usage.begin(self._home, entry, standing.local.date())
        except PolicyFault as fault:
            raise TaskGone("the site's policy cannot be read", told=True) from fault
        if not is_resumed and (closed := standing.closed(entry.offer.federation)):
            raise TaskGone(f"not now: {closed[0].rule}", told=True)
        if refusals := standing.declined(Case.of(entry.offer)):
            self._decline(entry, refusals[0], standing.now)

    def meter(self, entry: Entry) -> usage.Meter:
        return usage.Meter(self._home, entry, self._today)

    def _decline(self, entry: Entry, refusal: Refusal, now: datetime) -> None:
        keep_decline(self._home, entry.offer, refusal, now)
        failure = FailureIn(
            fence=entry.offer.fence, code=DECLINED_BY_POLICY, detail=str(refusal), retry=False
        )
        entry.decide(Outcome(failure=failure))

    def _today(self) -> date:
        """The day at the site; in UTC while the policy does not say where that is."""
        try:
            return (
                self._clock()
                .astimezone(document.read(self._home.folder / document.FILE).zone)
                .date()
            )
        except PolicyFault:
            return self._clock().date()

    def _standing(self) -> Standing:
        try:
            standing = Standing.read(self._home, self._clock())
        except PolicyFault as fault:
            self._note(str(fault))
            raise
        self._note("")
        return standing

    def _note(self, problem: str) -> None:
        """Log what is wrong once, and once that it is not any more."""
        if problem != self._problem:
            told = "no work is taken: policy unreadable" if problem else "policy readable again"
            logger.log(ERROR if problem else INFO, told, extra={"cause": problem})
        self._problem = problem


def declines(home: Home) -> list[Decline]:
    """The last tasks that the site declined, newest first."""
    try:
        return _declines.validate_json((home.folder / DECLINES_FILE).read_bytes())
    except (OSError, ValidationError):  # a record for people; nothing depends on it
        return []


def keep_decline(home: Home, offer: TaskOffer, refusal: Refusal, now: datetime) -> None:
    """Remember a decline; a task that is declined again replaces what was known of it."""
    made = Decline(
        task=offer.id,
        run=offer.run,
        federation=offer.federation,
        round=offer.round,
        rule=refusal.rule,
        words=refusal.words,
        at=now,
    )
    kept = [made, *(known for known in declines(home) if known.task != offer.id)][:DECLINES_KEPT]
    write_whole(home.folder / DECLINES_FILE, _declines.dump_json(kept, indent=2) + b"\n")


def _summary(standing: Standing, closed: tuple[ClosedFederation, ...]) -> PolicySummary | None:
    """None: the site has no rules."""
    rules, today = standing.policy.rule_names(), standing.book.today(standing.local.date())
    if not rules:
        return None
    return PolicySummary(
        state="set",
        rules=rules,
        sections=len(standing.policy.federation),
        consents=len(consents.valid(standing.consents, standing.now)),
        closed=closed,
        device_seconds_today=round(today.device_seconds),
        sent_bytes_today=today.sent_bytes,
        received_bytes_today=today.received_bytes,
    )

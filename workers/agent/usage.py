"""What tasks have used here: device time, bytes sent and received; `usage.json` outlives all.

Each task has one record under its id, whose figures only rise to what is known of it. So a task
that is resumed, offered again or looked at twice is counted once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from uuid import UUID

from pydantic import BaseModel, TypeAdapter, ValidationError

from agent.files import write_whole
from agent.home import Home
from agent.journal import Entry
from agent.policy import PolicyFault, Use
from federation.protocol import ArtifactRef, BaseModelRef, Spec, TrainSpec
from federation.protocol_values import ValueSpec

logger = logging.getLogger(__name__)

FILE = "usage.json"
KEPT_DAYS = 2  # of single tasks; then their federation's sum is enough
LOOK_SECONDS = 0.25  # between two looks at whether the worker is on the task
KEEP_SECONDS = 5.0  # between two writes: what a power cut may cost

_use: TypeAdapter[Use] = TypeAdapter(Use)


class Record(BaseModel):
    """One task, day by day. `fetches_base`: the base model was not here when it came."""

    federation: str
    days: dict[date, Use] = {}
    fetches_bytes: int = 0
    fetches_base: bool = False


class Book(BaseModel):
    """All records, and the sums of those that are over for long."""

    tasks: dict[UUID, Record] = {}
    before: dict[str, Use] = {}

    def today(self, day: date, federation: str | None = None) -> Use:
        """What one federation's tasks, or all, used on a day."""
        found = self._of(federation)
        return _sum(record.days[day] for record in found if day in record.days)

    def total(self, federation: str | None = None) -> Use:
        """What one federation's tasks, or all, have ever used."""
        before = [use for slug, use in self.before.items() if federation in {None, slug}]
        return _sum([*before, *(_sum(record.days.values()) for record in self._of(federation))])

    def fold(self, day: date, *, is_open: Callable[[UUID], bool]) -> None:
        """Keep of tasks that are over, and older than some days, the sums alone."""
        last = day - timedelta(days=KEPT_DAYS)
        for task, record in list(self.tasks.items()):
            if max(record.days, default=day) < last and not is_open(task):
                known = self.before.get(record.federation, Use())
                self.before[record.federation] = _sum([known, *record.days.values()])
                del self.tasks[task]

    def _of(self, federation: str | None) -> list[Record]:
        return [task for task in self.tasks.values() if federation in {None, task.federation}]


def read(home: Home) -> Book:
    """What has been used so far. Raises PolicyFault: what cannot be read bounds nothing."""
    file = home.folder / FILE
    try:
        return Book.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Book()
    except (ValidationError, OSError):
        told = f"{FILE} is damaged: remove it, and all use is counted from nothing"
        raise PolicyFault(told) from None


def begin(home: Home, entry: Entry, day: date) -> None:
    """Open a task's record, with what it will fetch; one that is open stays as it is."""
    book, offer = read(home), entry.offer
    if offer.id in book.tasks:
        return
    book.fold(day, is_open=lambda task: (home.tasks / str(task)).exists())
    book.tasks[offer.id] = Record(
        federation=offer.federation,
        fetches_bytes=sum(ref.size_bytes for ref in _wanted(offer.spec) if not _is_here(home, ref)),
        fetches_base=not base_bytes(home, offer.spec.base),
    )
    _keep(home, book)
    count(home, entry, day)


def _wanted(spec: Spec) -> set[ArtifactRef]:
    """What a task fetches beside its base model."""
    if isinstance(spec, TrainSpec):
        return {ref for ref in (spec.start, spec.control) if ref}
    if isinstance(spec, ValueSpec):
        return {spec.stacked}
    return {candidate.adapter for candidate in spec.candidates}


def count(home: Home, entry: Entry, day: date, *, device_seconds: float = 0.0) -> None:
    """Add device time to a task's record, and raise its bytes to what is known of them now."""
    book, offer = read(home), entry.offer
    record = book.tasks.get(offer.id)
    if record is None:  # the file was removed meanwhile
        record = book.tasks[offer.id] = Record(federation=offer.federation)
    base = base_bytes(home, offer.spec.base) if record.fetches_base else 0
    counted = _sum(record.days.values())
    more = Use(
        device_seconds,
        max(0, _sent_bytes(entry) - counted.sent_bytes),
        max(0, record.fetches_bytes + base - counted.received_bytes),
    )
    record.days[day] = _sum([record.days.get(day, Use()), more])
    _keep(home, book)


@dataclass(slots=True)
class Meter:
    """Measures a task while the poller is on it.

    Looks are some time apart. The time between two counts if work was seen at either: more may be
    counted than was used, by two looks at most, but never less.
    """

    home: Home
    entry: Entry
    today: Callable[[], date]
    _pending: float = field(default=0.0, init=False)  # seconds not written down yet
    _is_seen: bool = field(default=False, init=False)
    _is_on: bool = field(default=False, init=False)  # at the last look
    _looked_at: float = field(default_factory=time.monotonic, init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Count for as long as the block runs; how it ends makes no difference.

        Work that was over between two looks counts as long as one.
        """
        was_over = self.entry.outcome is not None
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self._look()
            if self.entry.outcome and not (was_over or self._is_seen):
                self._pending += LOOK_SECONDS
            self._write()

    async def _watch(self) -> None:
        self._looked_at = written_at = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._look()
            if self._looked_at - written_at > KEEP_SECONDS:
                self._write()
                written_at = self._looked_at

    def _look(self) -> None:
        was_on, now = self._is_on, time.monotonic()
        self._is_on = self.entry.is_worked_on
        if was_on or self._is_on:
            self._pending += now - self._looked_at
            self._is_seen = True
        self._looked_at = now

    def _write(self) -> None:
        try:
            count(self.home, self.entry, self.today(), device_seconds=self._pending)
        except (OSError, PolicyFault) as error:  # a full disk must not end the task
            logger.warning("use not written down", extra={"cause": type(error).__name__})
        else:
            self._pending = 0.0


def base_bytes(home: Home, wanted: BaseModelRef) -> int:
    """The size of a base model that is here whole, else 0."""
    name = sha256(f"{wanted.repo}@{wanted.revision}".encode()).hexdigest()
    note = home.cache / "bases" / name
    if not note.exists():
        return 0
    folder = home.cache / note.read_text()
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_here(home: Home, wanted: ArtifactRef) -> bool:
    return (home.cache / "artifacts" / wanted.sha256).exists()


def _sent_bytes(entry: Entry) -> int:
    """An update counts whole from the moment that it is to be sent; figures are no update."""
    outcome = entry.outcome
    statement = (outcome.submission or {}).get("statement", {}) if outcome else {}
    return int(statement.get("size_bytes", 0))


def _sum(uses: Iterable[Use]) -> Use:
    found = list(uses)
    return Use(
        sum(use.device_seconds for use in found),
        sum(use.sent_bytes for use in found),
        sum(use.received_bytes for use in found),
    )


def _keep(home: Home, book: Book) -> None:
    write_whole(home.folder / FILE, book.model_dump_json() + "\n")

"""Hours in which work is taken, by the wall clock of the site, also over midnight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Window(BaseModel):
    """From one time of the day to another; one that ends before it begins goes over midnight.

    `days` are those on which it begins. Equal times mean the 24 hours from then on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    days: Annotated[tuple[Day, ...], Field(strict=False, min_length=1)] = DAYS
    start: Annotated[Clock, Field(alias="from")]
    end: Annotated[Clock, Field(alias="to")]

    def holds(self, local: datetime) -> bool:
        """Whether it is open at a wall clock's time."""
        begins, ends, now = (
            time.fromisoformat(self.start),
            time.fromisoformat(self.end),
            local.time(),
        )
        begins_today = DAYS[local.weekday()] in self.days
        began_yesterday = DAYS[local.weekday() - 1] in self.days
        if begins < ends:
            return begins_today and begins <= now < ends
        return (begins_today and now >= begins) or (began_yesterday and now < ends)

    def begins_on(self, local: datetime) -> datetime:
        """Its first moment on that day, were the day one of its own."""
        return datetime.combine(local.date(), time.fromisoformat(self.start), local.tzinfo)


def zone_of(name: str) -> tzinfo:
    """The time zone of this name; raises ValueError where this machine knows none."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError("no time zone that this machine knows") from None


def is_open(windows: Iterable[Window], local: datetime) -> bool:
    return any(window.holds(local) for window in windows)


def opens_next(windows: tuple[Window, ...], local: datetime) -> datetime | None:
    """When the next window begins, within eight days. None: never.

    A time that daylight saving skips is none: the clock never shows it.
    """
    return min(_beginnings(windows, local), default=None)


def _beginnings(windows: tuple[Window, ...], local: datetime) -> Iterator[datetime]:
    for days in range(9):
        for window in windows:
            wanted = window.begins_on(local + timedelta(days=days))
            real = wanted.astimezone(UTC).astimezone(local.tzinfo)
            if real > local and window.holds(real):
                yield real

"""What templates say about moments, sizes, shares, states and organisations.

Every filter shows a missing value as a dash, so that a table keeps its shape.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django import template
from django.template.context import Context
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

register = template.Library()

MISSING = "–"
NOTHING = (None, "")  # how a template gives a filter what is not there
SPACE = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
HUES = 8
MOST_TICKS, TENTHS = 20, 10
TITLE_WORD = re.compile(r"(?<=[\s-])[A-Z](?=[a-z])")

MINUTE, HOUR, DAY = 60, 3600, 86400
# One and many of each unit, behind us and ahead.
SPANS = {
    DAY: ("%(count)s day ago", "%(count)s days ago", "in %(count)s day", "in %(count)s days"),
    HOUR: ("%(count)s hour ago", "%(count)s hours ago", "in %(count)s hour", "in %(count)s hours"),
    MINUTE: (
        "%(count)s minute ago",
        "%(count)s minutes ago",
        "in %(count)s minute",
        "in %(count)s minutes",
    ),
    1: (
        "%(count)s second ago",
        "%(count)s seconds ago",
        "in %(count)s second",
        "in %(count)s seconds",
    ),
}
A_MOMENT = 10  # seconds that count as «just now»
RELATIVE_FOR = 30 * DAY  # what is older is told by its date

# Tone and icon of every state on screen; the word itself is always shown beside them.
STATES: Mapping[str, tuple[str, str]] = {
    # runs
    "draft": ("neutral", "pencil"),
    "queued": ("waiting", "clock"),
    "running": ("active", "pulse"),
    "paused": ("attention", "pause"),
    "completed": ("positive", "check"),
    "failed": ("negative", "cross"),
    "cancelled": ("neutral", "slash"),
    # rounds
    "open": ("active", "pulse"),
    "collecting": ("active", "inbox"),
    "aggregating": ("active", "merge"),
    "evaluating": ("active", "gauge"),
    "closed": ("positive", "check"),
    # tasks and updates
    "leased": ("active", "agent"),
    "received": ("waiting", "inbox"),
    "accepted": ("positive", "check"),
    "quarantined": ("attention", "shield"),
    "rejected": ("negative", "cross"),
    "late": ("attention", "clock"),
    "missed": ("attention", "dot"),
    "measuring": ("active", "gauge"),
    "recorded": ("positive", "check"),
    "evaluated": ("positive", "gauge"),
    # cases
    "upheld": ("attention", "shield"),
    "dismissed": ("neutral", "check"),
    # versions and uploads
    "candidate": ("waiting", "dot"),
    "released": ("positive", "seal"),
    "retired": ("neutral", "archive"),
    "withdrawn": ("neutral", "slash"),
    "lapsed": ("neutral", "clock"),
    "given": ("active", "flag"),
    "moved": ("active", "flag"),
    "removed": ("neutral", "slash"),
    "complete": ("positive", "check"),
    "computed": ("positive", "check"),
    # agents and their enrolment codes
    "enrolled": ("waiting", "clock"),
    "online": ("positive", "agent"),
    "idle": ("positive", "agent"),
    "busy": ("active", "pulse"),
    "offline": ("attention", "slash"),
    "revoked": ("negative", "lock"),
    "expired": ("neutral", "clock"),
    "used": ("neutral", "check"),
    # organisations, federations, participations, signatures
    "pending": ("waiting", "clock"),
    "requested": ("waiting", "mail"),
    "invited": ("waiting", "mail"),
    "approved": ("positive", "check"),
    "active": ("positive", "check"),
    "signed": ("positive", "seal"),
    "suspended": ("attention", "pause"),
    "refused": ("negative", "cross"),
    "declined": ("negative", "cross"),
    "left": ("neutral", "exit"),
    "expelled": ("negative", "exit"),
    "dissolved": ("neutral", "archive"),
    # letters and webhooks
    "sent": ("positive", "check"),
    "dropped": ("neutral", "slash"),
    "delivered": ("positive", "check"),
    "disabled": ("negative", "slash"),
}
UNKNOWN_STATE = ("neutral", "dot")


def as_moment(value: datetime | str) -> datetime:
    """An aware moment, also from the ISO 8601 text that events carry."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.astimezone(UTC)


def relative(moment: datetime, now: datetime) -> str:
    """How long ago or ahead, in one unit; `live.js` says the same words in the browser.

    What is past is counted in whole units, what is ahead in the nearest: a day that has just
    begun is 24 hours.
    """
    seconds = int(abs((now - moment).total_seconds()))
    if seconds < A_MOMENT:
        return _("just now")
    if seconds >= RELATIVE_FOR:
        return day(moment)
    size = next(size for size in SPANS if seconds >= size)
    is_past = moment <= now
    count = seconds // size if is_past else (2 * seconds + size) // (2 * size)
    one, many = SPANS[size][:2] if is_past else SPANS[size][2:]
    said = ngettext(one, many, count) % {"count": count}
    return said.replace(f"{count} ", f"{count}{SPACE}")


@register.filter
def ago(value: datetime | str | None) -> str:
    """«3 minutes ago», «in 2 hours», or the date after a month."""
    return relative(as_moment(value), timezone.now()) if value else MISSING


@register.filter
def moment(value: datetime | str | None) -> str:
    """The whole moment in UTC: «4 Mar 2026, 14:03:22 UTC»."""
    if not value:
        return MISSING
    at = as_moment(value)
    return f"{day(at)}, {at:%H:%M:%S} UTC"


def day(moment: datetime) -> str:
    # Translators: the day of a moment, in the letters of Django's date filter
    return date_format(moment, _("j M Y"))


@register.filter
def isoformat(value: datetime | str | None) -> str:
    """What the `datetime` attribute of a `<time>` wants."""
    return as_moment(value).isoformat(timespec="seconds") if value else ""


@register.filter("bytes")
def human_bytes(value: float | None) -> str:
    """Binary sizes with three digits at most: «1.5 MiB»."""
    if value in NOTHING:  # type: ignore[comparison-overlap]
        return MISSING
    size = float(value)
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    for unit in units:
        if abs(size) < 999.5 or unit == units[-1]:  # noqa: PLR2004 - rounds to four digits
            break
        size /= 1024
    digits = 0 if unit == "B" or abs(size) >= 99.95 else 1  # noqa: PLR2004
    return f"{size:.{digits}f}{SPACE}{unit}"


@register.filter
def percent(value: float | None, digits: int = 1) -> str:
    """A share between 0 and 1 as «49.3%»."""
    if value in NOTHING or not math.isfinite(value):  # type: ignore[comparison-overlap]
        return MISSING
    return f"{value:.{digits}%}"


@register.filter
def number(value: float | None, digits: int = 3) -> str:
    """Whole numbers with thousands set apart, others with fixed digits so that columns align."""
    if value in NOTHING or not math.isfinite(value):  # type: ignore[comparison-overlap]
        return MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


@register.filter
def cosine(value: float | None) -> str:
    """Between −1 and 1, to two digits; what is not quite 1 does not look like it: «0.9996»."""
    if value in NOTHING or not math.isfinite(value):  # type: ignore[comparison-overlap]
        return MISSING
    digits = 4 if 0.995 <= abs(value) < 1 else 2  # noqa: PLR2004 (would round to 1.00)
    return f"{value:.{digits}f}".replace("-", "−")


@register.filter
def signed(value: float | None, digits: int = 3) -> str:
    """A change, with its sign: «+0.412», «−0.103»."""
    if value in NOTHING or not math.isfinite(value):  # type: ignore[comparison-overlap]
        return MISSING
    return f"{value:+.{digits}f}".replace("-", "−")


@register.filter
def short_id(value: object) -> str:
    """The first eight characters of a digest or identifier, without its algorithm."""
    return str(value).rpartition(":")[2][:8] if value else MISSING


@register.filter
def duration(value: timedelta | float | None) -> str:
    """A span in at most two units: «850 ms», «4.2 s», «3 min 20 s», «2 h 5 min», «3 d 4 h»."""
    if value in NOTHING:
        return MISSING
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if 0 < seconds < 0.9995:  # noqa: PLR2004 - what rounds to 1000 ms is a second
        return f"{seconds * 1000:.0f}{SPACE}ms"
    if 0 < seconds < 9.95:  # noqa: PLR2004 - what rounds to 10.0 has no decimal
        return f"{seconds:.1f}{SPACE}s"
    return _two_units(round(seconds))


def _two_units(seconds: int) -> str:
    scale = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1, "s"))
    first = next((i for i, (size, _) in enumerate(scale) if seconds >= size), len(scale) - 1)
    parts: list[str] = []
    for size, unit in scale[first : first + 2]:
        count, seconds = divmod(seconds, size)
        if count or not parts:
            parts.append(f"{count}{SPACE}{unit}")
    return SPACE.join(parts)


@register.filter
def words(value: object) -> str:
    """A name as the database has it, as a reader expects it: «late_policy» → «late policy»."""
    name = str(value).replace("_", " ")
    return _(name) if name else name


@register.filter
def sentence_case(text: str) -> str:
    """Titles of a library that Writes Them So, as ours are: «Sign in», «Two-factor…».

    Other languages write their nouns as they must.
    """
    if not is_english():
        return text.strip()
    return TITLE_WORD.sub(lambda found: found[0].lower(), text.strip().replace("Signup", "Sign up"))


@register.filter
def midsentence(name: object) -> str:
    """The name of a role or a choice as it stands within a sentence: «You are owner here»."""
    return str(name).lower() if is_english() else str(name)


def is_english() -> bool:
    return (get_language() or "en").startswith("en")


@register.filter
def tone(state: object) -> str:
    """neutral, waiting, active, positive, attention or negative."""
    return STATES.get(str(state), UNKNOWN_STATE)[0]


@register.filter
def state_icon(state: object) -> str:
    return STATES.get(str(state), UNKNOWN_STATE)[1]


@register.filter
def hue(value: object) -> int:
    """One of the categorical colours, the same one for the same value in every process."""
    return zlib.crc32(str(value).encode()) % HUES


@register.filter
def hue_at(position: int) -> int:
    """The colour of a place in a list: up to eight neighbours never share one."""
    return int(position) % HUES


@register.filter
def initials(name: object) -> str:
    """Up to two capitals: «Ada Institute of Health» → «AI»."""
    capitals = [word[0] for word in str(name).split() if word[0].isupper() or word[0].isdigit()]
    return "".join(capitals[:2]) or str(name)[:1].upper()


@register.filter
def ticks(parts: str | int) -> range:
    """The parts of a scale; where they would lie too close, tenths."""
    return range(int(parts) if 1 <= int(parts) <= MOST_TICKS else TENTHS)


@register.filter
def chart_rows(data: Mapping[str, Any]) -> Iterator[tuple[object, list[tuple[object, ...]]]]:
    """The rows of a chart's table: each label with (value, low, high) of every series there.

    Where lines pass over gaps, a label at which nobody has a value is no row.
    """
    series: Sequence[Mapping[str, Any]] = data["series"]
    for position, label in enumerate(data["labels"]):
        values = [_measured_at(one, position) for one in series]
        if not data.get("spanned") or any(value is not None for value, *_ in values):
            yield label, values


def _measured_at(series: Mapping[str, Any], position: int) -> tuple[object, ...]:
    return tuple(_value_at(series.get(name, ()), position) for name in ("values", "low", "high"))


def _value_at(values: Sequence[object], position: int) -> object:
    return values[position] if position < len(values) else None


@register.filter
def formatted(value: Any, kind: str) -> str:
    """A figure by the name of its format: number, percent, bytes or duration."""
    return {"percent": percent, "bytes": human_bytes, "duration": duration}.get(kind, number)(value)


@register.simple_tag(takes_context=True)
def current(context: Context, *apps: str) -> str:
    """Marks a link of the navigation when the page belongs to one of the apps.

    A page that stands elsewhere than its app says so in `nav`, with the name of the other app.
    """
    match = getattr(context.get("request"), "resolver_match", None)
    app = context.get("nav") or (match and match.app_name)
    return SafeString('aria-current="true"') if app in apps else ""

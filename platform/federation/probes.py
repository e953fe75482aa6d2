"""Public probe sets: a few examples that a whole federation may read, and the hub measures on.

One JSON object in each line, all with the same fields: a text with its label, a text alone or
behind a prompt, or the messages of a conversation. What is read here is written again in one
fixed form, so that the same examples have the same bytes wherever they come from. No torch.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from federation.modelling.messages import Examples
from federation.plan import Plan
from federation.plan_tasks import Labelled

MOST_BYTES: Final = 1 << 20
MOST_ROWS: Final = 5000
MOST_CHARACTERS: Final = 20_000  # of a text
MOST_LABEL: Final = 200  # characters
MOST_MESSAGES: Final = 100  # in a conversation
ROLES: Final = frozenset({"system", "user", "assistant"})
FORMS: Final[Mapping[frozenset[str], str]] = {
    frozenset({"text", "label"}): "labelled",
    frozenset({"text"}): "texts",
    frozenset({"prompt", "text"}): "answers",
    frozenset({"messages"}): "conversations",
}
TASKS: Final[Mapping[str, frozenset[str]]] = {  # which forms a type of task can be measured on
    "sequence_classification": frozenset({"labelled"}),
    "causal_lm": frozenset({"texts", "answers"}),
    "masked_lm": frozenset({"texts", "labelled"}),
    "chat": frozenset({"conversations"}),
}

Row: TypeAlias = Mapping[str, Any]


class ProbeRefused(ValueError):
    """These lines are no probe set. `code` is stable; `detail` names a line, never its text.

    Codes: probe_too_large, probe_too_many_rows, probe_empty, probe_unreadable, probe_row_refused,
    probe_rows_differ, probe_twice.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """Checked examples; `form` is one of those in `FORMS`."""

    form: str
    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> dict[str, int]:
        """How often each label is given, the most frequent first."""
        given = Counter(row["label"] for row in self.rows if "label" in row)
        return dict(sorted(given.items(), key=lambda one: (-one[1], one[0])))

    def content(self) -> bytes:
        """The set as it is stored: one line for each example, in their order."""
        return b"".join(
            json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n"
            for row in self.rows
        )

    def examples(self, most: int | None = None) -> Examples:
        """What a model is measured on: all, or `most` spread evenly over the set."""
        chosen = self.rows if most is None else _spread(self.rows, most)
        return Examples(
            texts=[row["text"] for row in chosen if "text" in row],
            labels=_column(chosen, "label"),
            prompts=_column(chosen, "prompt"),
            messages=_column(chosen, "messages"),
        )


def read_probe(content: bytes) -> ProbeSet:
    """Read lines of JSON. Raises ProbeRefused; nothing is repaired."""
    if len(content) > MOST_BYTES:
        raise ProbeRefused("probe_too_large", f"{len(content)} bytes, {MOST_BYTES} at most")
    return check_rows(list(_parsed(content)))


def check_rows(rows: Sequence[object]) -> ProbeSet:
    """The same for examples that are parsed already."""
    if not rows:
        raise ProbeRefused("probe_empty", "there is no example in it")
    if len(rows) > MOST_ROWS:
        raise ProbeRefused("probe_too_many_rows", f"{len(rows)} examples, {MOST_ROWS} at most")
    checked = [_checked(row, number) for number, row in enumerate(rows, 1)]
    first = checked[0].keys()
    for number, row in enumerate(checked, 1):
        if row.keys() != first:
            told = f"line {number} has {_names(row)}, the first line {_names(checked[0])}"
            raise ProbeRefused("probe_rows_differ", told)
    found = ProbeSet(FORMS[frozenset(first)], checked)
    _check_whole(found)
    return found


def misfit(form: str, labels: Sequence[str], plan: Plan) -> str:
    """Why a run of this plan cannot be measured on a set; empty where it can."""
    task = plan.task
    if form not in TASKS.get(task.type, ()):
        return f"a probe of {form} does not measure {task.type.replace('_', ' ')}"
    known = set(task.labels) if isinstance(task, Labelled) else set(labels)
    if unknown := sorted(set(labels) - known):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        return f"the plan does not list the label {unknown[0]!r}{more}"
    return ""


def _check_whole(found: ProbeSet) -> None:
    if len(content := found.content()) > MOST_BYTES:
        raise ProbeRefused("probe_too_large", f"{len(content)} bytes, {MOST_BYTES} at most")
    seen: dict[str, int] = {}
    for number, row in enumerate(found.rows, 1):
        key = json.dumps(row, sort_keys=True)
        if key in seen:
            raise ProbeRefused("probe_twice", f"line {number} repeats line {seen[key]}")
        seen[key] = number


def _parsed(content: bytes) -> Iterator[object]:
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line.decode(), object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as wrong:
            told = f"line {number} is not one JSON object in UTF-8"
            raise ProbeRefused("probe_unreadable", told) from wrong


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _checked(row: object, number: int) -> Row:
    if not isinstance(row, dict) or frozenset(row) not in FORMS:
        told = _names(row) if isinstance(row, dict) else "no object"
        wanted = "text and label, text, prompt and text, or messages"
        raise ProbeRefused("probe_row_refused", f"line {number} has {told}; wanted: {wanted}")
    for name, value in row.items():
        if wrong := _wrong(name, value):
            raise ProbeRefused("probe_row_refused", f"line {number}: {name} {wrong}")
    return row


def _wrong(name: str, value: object) -> str:
    if name == "messages":
        return _wrong_talk(value)
    if name == "label":
        return _wrong_text(value, MOST_LABEL) or _wrong_label(str(value))
    return _wrong_text(value, MOST_CHARACTERS)


def _wrong_text(value: object, most: int) -> str:
    """An empty text measures nothing, and a lone surrogate or NUL is text to nobody."""
    if not isinstance(value, str):
        return "is no text"
    if not value.strip():
        return "is empty"
    if len(value) > most:
        return f"has {len(value)} characters, {most} at most"
    if any(unicodedata.category(letter) == "Cs" or letter == "\0" for letter in value):
        return "holds characters that cannot be stored"
    return ""


def _wrong_label(label: str) -> str:
    if label != label.strip() or any(unicodedata.category(c) in {"Cc", "Cf"} for c in label):
        return "has spaces around it or invisible characters"
    return ""


def _wrong_talk(value: object) -> str:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_MESSAGES:
        return f"is no list of 1 to {MOST_MESSAGES} messages"
    for message in value:
        if not isinstance(message, dict) or message.keys() != {"role", "content"}:
            return "has a message that is not a role and a content"
        if not isinstance(message["role"], str) or message["role"] not in ROLES:
            return f"has a role that is none of {', '.join(sorted(ROLES))}"
        if wrong := _wrong_text(message["content"], MOST_CHARACTERS):
            return f"has a content that {wrong}"
    if all(message["role"] != "assistant" for message in value):
        return "has no message of the assistant to measure"
    return ""


def _names(row: Mapping[str, object]) -> str:
    """The fields of a row, which are not its text; cut where somebody sends many."""
    return ", ".join(ascii(name)[1:41].rstrip("'") for name in sorted(row)[:5]) or "no fields"


def _column(rows: Sequence[Row], name: str) -> list[Any] | None:
    return [row[name] for row in rows] if name in rows[0] else None


def _spread(rows: Sequence[Row], most: int) -> Sequence[Row]:
    if len(rows) <= most:
        return rows
    return [rows[place * len(rows) // most] for place in range(most)]

"""The site's own data: which folder a federation may use, and the examples in it.

`data.toml` belongs to the site and never leaves it. What is refused is told by counts and by the
role of a column, never by its name, a text, a label or a path.
"""

from __future__ import annotations

import csv
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Final, Literal

from agent.errors import AgentFault, DataRefused
from agent.files import write_whole
from federation.modelling.messages import Examples
from federation.plan import Plan, SequenceClassification

Part = Literal["train", "test"]
Row = Mapping[str, object]

HEADING = "# Which local folder each federation may use. It never leaves this site.\n"
PARTS: Final[tuple[Part, ...]] = ("train", "test")
SUFFIXES = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class DataSet:
    """One federation's place in data.toml: files in `folder`, and the columns' names."""

    folder: Path
    train: str
    test: str
    text: str = "text"
    label: str = "label"
    prompt: str = "prompt"

    def file(self, part: Part) -> Path:
        return self.folder / (self.train if part == "train" else self.test)


def registered(file: Path) -> dict[str, DataSet]:
    """Return what data.toml says, by federation; raises AgentFault where it is malformed."""
    if not file.exists():
        return {}
    try:
        sections = tomllib.loads(file.read_text()).get("federations", {})
        return {slug: _data_set(section) for slug, section in sections.items()}
    except (tomllib.TOMLDecodeError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise AgentFault(f"{file.name} is malformed: {error}") from error


def register(file: Path, federation: str, data: DataSet) -> None:
    """Put a federation into data.toml, in place of what it says about it now."""
    sections = {**registered(file), federation: data}
    write_whole(file, HEADING + "".join(_section(*item) for item in sorted(sections.items())))


def found_in(folder: Path, *, text: str, label: str, prompt: str) -> DataSet:
    """Look for train and test files in a folder; raises AgentFault if there is no train file."""
    folder = folder.expanduser().resolve()
    names = {part: _first(folder, part) for part in PARTS}
    if not names["train"]:
        wanted = ", ".join(f"train{suffix}" for suffix in SUFFIXES)
        raise AgentFault(f"{folder} has none of {wanted}")
    return DataSet(
        folder,
        names["train"],
        names["test"] or names["train"].replace("train", "test"),
        text=text,
        label=label,
        prompt=prompt,
    )


def load(data: DataSet, part: Part, plan: Plan) -> Examples:
    """Read the examples that a plan's task needs. Raises DataRefused."""
    rows = [row for row in read_rows(data.file(part)) if str(row.get(data.text) or "").strip()]
    if not rows:
        raise DataRefused("no_data", f"there are no {part} examples")
    texts = [str(row[data.text]) for row in rows]
    if isinstance(plan.task, SequenceClassification):
        return Examples(texts, labels=_labels(rows, data.label, plan.task.labels))
    has_prompts = any(row.get(data.prompt) is not None for row in rows)
    prompts = [str(row.get(data.prompt) or "") for row in rows] if has_prompts else None
    return Examples(texts, prompts=prompts)


def read_rows(file: Path) -> list[Row]:
    """Read a CSV, JSON-lines or Parquet file. Raises DataRefused, which quotes nothing of it."""
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise DataRefused("data_unreadable", f"the format is none of {', '.join(SUFFIXES)}")
    try:
        return list(reader(file))
    except FileNotFoundError:
        raise DataRefused("no_data", "the data file is missing") from None
    except (OSError, ValueError, csv.Error) as error:
        told = f"the {file.suffix[1:]} file is malformed ({type(error).__name__})"
        raise DataRefused("data_unreadable", told) from None


def _csv_rows(file: Path) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines, strict=True)


def _json_rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("a line is no object")
                yield row


def _parquet_rows(file: Path) -> Iterator[Row]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError:
        told = "reading Parquet needs pyarrow on the agent: pip install pyarrow"
        raise DataRefused("parquet_unsupported", told) from None
    yield from parquet.read_table(file).to_pylist()


def _labels(rows: Sequence[Row], column: str, known: Sequence[str]) -> list[str]:
    missing = sum(row.get(column) is None for row in rows)
    if missing:
        raise DataRefused("labels_missing", f"{missing} of {len(rows)} examples have no label")
    labels = [str(row[column]) for row in rows]
    listed = set(known)
    unknown = sum(label not in listed for label in labels)
    if unknown:
        told = f"{unknown} of {len(rows)} examples have a label the plan does not list"
        raise DataRefused("unknown_label", told)
    return labels


def _first(folder: Path, part: str) -> str:
    return next((part + s for s in SUFFIXES if (folder / (part + s)).is_file()), "")


def _data_set(section: Mapping[str, str]) -> DataSet:
    return DataSet(**{**section, "folder": Path(section["folder"])})  # type: ignore[arg-type]


def _section(federation: str, data: DataSet) -> str:
    # JSON strings are TOML strings, as long as nothing beyond ASCII is escaped.
    lines = [f"{key} = {_quoted(str(value))}" for key, value in asdict(data).items()]
    return "\n".join(["", f"[federations.{_quoted(federation)}]", *lines, ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

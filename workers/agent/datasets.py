"""The site's own data: which folder a federation may use, and the examples in it.

`data.toml` belongs to the site and never leaves it. What is refused is told by counts and by the
role of a column, never by its name, a text, a label or a path.
"""

from __future__ import annotations

import csv
import json
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from agent.columns import examples_of, main_column
from agent.errors import AgentFault, DataRefused
from agent.files import write_whole
from federation.modelling.messages import Examples
from federation.plan import Plan

Part = Literal["train", "test"]
Row = Mapping[str, object]

HEADING = "# Which local folder each federation may use. It never leaves this site.\n"
PARTS: Final[tuple[Part, ...]] = ("train", "test")
SUFFIXES = (".csv", ".jsonl", ".parquet", ".txt")
SAVED = "state.json"  # in a folder that `datasets` saved to disk
PYARROW = "pyarrow on the agent: pip install pyarrow"


@dataclass(frozen=True, slots=True)
class DataSet:
    """One federation's place in data.toml: files (in `folder`, or anywhere), columns' names."""

    folder: Path
    train: str
    test: str
    text: str = "text"
    label: str = "label"
    prompt: str = "prompt"
    messages: str = "messages"
    image: str = "image"

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


def unregister(file: Path, federation: str) -> None:
    """Take a federation out of data.toml; raises AgentFault if it is not there."""
    sections = registered(file)
    if federation not in sections:
        raise AgentFault(f"No data is mapped to {federation}: see foedus-agent data list.")
    del sections[federation]
    write_whole(file, HEADING + "".join(_section(*item) for item in sorted(sections.items())))


def found_in(path: Path, *, test: Path | None = None, **columns: str) -> DataSet:
    """The data set at a path: a folder with train and test files, or the train file itself.

    `test`: the test file, where it is not beside the other. `columns`: names of the columns that
    are not called what they are. Raises AgentFault if there is no train file, or no such test file.
    """
    path = path.expanduser().resolve()
    folder, train = (path.parent, path.name) if path.is_file() else (path, _first(path, "train"))
    if not train:
        wanted = ", ".join(f"train{suffix}" for suffix in SUFFIXES)
        raise AgentFault(f"{path} has none of {wanted}, and no folder saved by `datasets`")
    beside = _first(folder, "test") or f"test{Path(train).suffix}"
    chosen = str(_existing(test)) if test else beside
    return DataSet(folder, train, chosen, **columns)


def _existing(file: Path) -> Path:
    file = file.expanduser().resolve()
    if not file.exists():
        raise AgentFault(f"{file} does not exist")
    return file


def load(data: DataSet, part: Part, plan: Plan) -> Examples:
    """Read the examples that a plan's task needs. Raises DataRefused."""
    main = main_column(data, plan)
    rows = [row for row in read_rows(data.file(part)) if str(row.get(main) or "").strip()]
    if not rows:
        raise DataRefused("no_data", f"there are no {part} examples")
    return examples_of(rows, data, plan)


def read_rows(file: Path) -> list[Row]:
    """All rows of a file at once; see `rows_of`."""
    return list(rows_of(file))


def rows_of(file: Path) -> Iterator[Row]:
    """Read a CSV, JSON-lines, Parquet or text file, or a folder saved by `datasets`, row by row.

    Of a text file, each line is a row with the column `text`. Raises DataRefused, which quotes
    nothing of what it read.
    """
    kind = "datasets" if file.is_dir() else file.suffix.lower()[1:]
    if kind not in READERS:
        raise DataRefused("data_unreadable", f"the format is none of {', '.join(SUFFIXES)}")
    try:
        yield from READERS[kind](file)
    except FileNotFoundError:
        raise DataRefused("no_data", "the data file is missing") from None
    except (OSError, ValueError, csv.Error) as error:
        told = f"the {kind} file is malformed ({type(error).__name__})"
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


def _text_rows(file: Path) -> Iterator[Row]:
    with file.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                yield {"text": line.rstrip("\r\n")}


def _parquet_rows(file: Path) -> Iterator[Row]:
    for batch in _pyarrow("pyarrow.parquet", "Parquet").ParquetFile(file).iter_batches():
        yield from batch.to_pylist()


def _saved_rows(folder: Path) -> Iterator[Row]:
    """Rows of what `Dataset.save_to_disk` wrote: Arrow streams, listed in state.json."""
    arrow = _pyarrow("pyarrow", "a saved data set")
    state = json.loads((folder / SAVED).read_text(encoding="utf-8"))
    if state.get("_indices_data_files"):
        raise DataRefused("data_unreadable", "save the data set with flatten_indices() first")
    for part in state["_data_files"]:
        with arrow.memory_map(str(folder / Path(part["filename"]).name)) as source:
            for batch in arrow.ipc.open_stream(source):
                yield from batch.to_pylist()


def _pyarrow(module: str, what: str) -> Any:
    """A library that only some sites need, so it is not among our requirements."""
    try:
        return import_module(module)
    except ImportError:
        raise DataRefused("parquet_unsupported", f"reading {what} needs {PYARROW}") from None


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    "csv": _csv_rows,
    "jsonl": _json_rows,
    "parquet": _parquet_rows,
    "txt": _text_rows,
    "datasets": _saved_rows,
}


def _first(folder: Path, part: str) -> str:
    saved = [part] if (folder / part / SAVED).is_file() else []
    files = [part + suffix for suffix in SUFFIXES if (folder / (part + suffix)).is_file()]
    return next(iter([*files, *saved]), "")


def _data_set(section: Mapping[str, str]) -> DataSet:
    return DataSet(**{**section, "folder": Path(section["folder"])})  # type: ignore[arg-type]


def _section(federation: str, data: DataSet) -> str:
    # JSON strings are TOML strings, as long as nothing beyond ASCII is escaped.
    lines = [f"{key} = {_quoted(str(value))}" for key, value in asdict(data).items()]
    return "\n".join(["", f"[federations.{_quoted(federation)}]", *lines, ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

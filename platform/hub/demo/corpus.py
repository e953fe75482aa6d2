"""The data of a demonstration on disk: one folder for each organisation, and one with it all.

Each folder holds `train.csv` and `test.csv` with the columns `text` and `label`; the pooled test
set is the union of the organisations'. The folder is made anew only when its recipe changes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hub.demo.docstrings import SUBJECTS, docstrings_by_module
from hub.demo.splits import CorpusRefused, Deal, Row, deal, sample_per_class

__all__ = [
    "Corpus",
    "CorpusRefused",
    "OrganisationData",
    "build_docstring_corpus",
    "build_from_folder",
]

RECIPE_VERSION = 2
TEST_EVERY = 4  # of the docstrings of a module, each fourth is for testing
_MANIFEST = "corpus.json"
_PROBE = "probe.jsonl"
_NAMES = (
    "Aldgate",
    "Brightwater",
    "Calloway",
    "Dunmore",
    "Eastlea",
    "Fairholm",
    "Greywell",
    "Harrowby",
    "Ivelet",
    "Kingsmead",
)
_RANKS = (8, 8, 6, 8, 4)


@dataclass(frozen=True, slots=True)
class OrganisationData:
    """One fictional organisation: who it is, and where its private examples lie."""

    name: str
    slug: str
    subject: str
    rank: int
    folder: Path
    train_examples: int
    test_examples: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Labels in their agreed order, the organisations, and the folder of the pooled data."""

    labels: tuple[str, ...]
    organisations: tuple[OrganisationData, ...]
    pooled: Path
    probe: bytes = b""  # examples that everybody may read, as JSON Lines, where there are some


@dataclass(frozen=True, slots=True)
class _Share:
    """What one organisation is going to get; rows are (text, label)."""

    name: str
    subject: str
    rank: int
    train: list[tuple[str, str]]
    test: list[tuple[str, str]]
    public: list[tuple[str, str]] = field(default_factory=list)


def build_docstring_corpus(folder: Path) -> Corpus:
    """Write the standard library's docstrings, labelled by module, owned by subject."""
    recipe = {"kind": "docstrings", "python": sys.version, "subjects": [*map(asdict, SUBJECTS)]}
    return _built(folder, recipe, _docstring_shares)


def build_from_folder(
    *,
    source: Path,
    label: str,
    orgs: int,
    split: str,
    per_class: int | None,
    folder: Path,
    seed: int,
) -> Corpus:
    """Deal out a user's `train.csv` and `test.csv` (column `text`, and `label`'s column).

    `split` is "iid", "dirichlet:ALPHA" or "by:COLUMN"; `per_class` limits the training examples
    of each label and leaves the tests whole. Raises `CorpusRefused`.
    """
    if orgs < 1 or (per_class is not None and per_class < 1):
        raise CorpusRefused("The numbers of organisations and of examples must be 1 or more.")
    recipe = {
        "kind": "folder",
        "files": [_digest(source / name) for name in ("train.csv", "test.csv")],
        "rule": [label, orgs, split, per_class, seed],
    }

    def shares() -> list[_Share]:
        train, test = _read_both(source, label)
        train = sample_per_class(train, label=label, per_class=per_class, seed=seed)
        dealt = deal(train=train, test=test, label=label, orgs=orgs, split=split, seed=seed)
        return [_share(dealt, number, label) for number in range(orgs)]

    return _built(folder, recipe, shares)


def _read_both(source: Path, label: str) -> tuple[list[Row], list[Row]]:
    train = _read(source / "train.csv", label)
    test = _read(source / "test.csv", label)
    if unknown := {row[label] for row in test} - {row[label] for row in train}:
        named = ", ".join(sorted(unknown)[:3])
        raise CorpusRefused(f"test.csv has labels that train.csv lacks: {named}.")
    return train, test


def _share(dealt: Deal, number: int, label: str) -> _Share:
    return _Share(
        name=_name(number),
        subject=dealt.subjects[number],
        rank=_RANKS[number % len(_RANKS)],
        train=[(row["text"], row[label]) for row in dealt.train[number]],
        test=[(row["text"], row[label]) for row in dealt.test[number]],
    )


def _docstring_shares() -> list[_Share]:
    texts = docstrings_by_module()
    if len(texts) < len(SUBJECTS):
        raise CorpusRefused("This Python has no source files of its standard library to read.")
    shares = []
    for subject in SUBJECTS:
        modules = [name for name in subject.modules if name in texts]
        rows = [(text, name, i) for name in modules for i, text in enumerate(texts[name].owned)]
        shares.append(
            _Share(
                name=subject.organisation,
                subject=subject.field,
                rank=subject.rank,
                train=[(text, name) for text, name, i in rows if i % TEST_EVERY],
                test=[(text, name) for text, name, i in rows if not i % TEST_EVERY],
                public=[(text, name) for name in modules for text in texts[name].public],
            )
        )
    return shares


def _built(
    folder: Path, recipe: Mapping[str, object], shares: Callable[[], list[_Share]]
) -> Corpus:
    """The corpus in the folder, written first unless it was made by this very recipe."""
    key = hashlib.sha256(json.dumps([RECIPE_VERSION, recipe], sort_keys=True).encode()).hexdigest()
    manifest = folder / _MANIFEST
    if manifest.is_file() and (found := json.loads(manifest.read_text("utf-8")))["key"] == key:
        return _corpus(folder, found)
    if folder.exists() and any(folder.iterdir()) and not manifest.is_file():
        raise CorpusRefused(f"The folder {folder} holds something else; choose an empty one.")
    return _write(folder, key, shares())


def _write(folder: Path, key: str, shares: Sequence[_Share]) -> Corpus:
    """Write beside the folder, then put it in place whole."""
    made = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(made, ignore_errors=True)
    for share in shares:
        _write_folder(made / _slug(share.name), share.train, share.test)
    train = [row for share in shares for row in share.train]
    test = [row for share in shares for row in share.test]
    _write_folder(made / "pooled", train, test)
    _write_probe(made / _PROBE, [row for share in shares for row in share.public])
    labels = sorted({label for _, label in train})
    found = {"key": key, "labels": labels, "organisations": [*map(_described, shares)]}
    (made / _MANIFEST).write_text(json.dumps(found, indent=2), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    made.replace(folder)
    return _corpus(folder, found)


def _described(share: _Share) -> dict[str, object]:
    return {
        "name": share.name,
        "slug": _slug(share.name),
        "subject": share.subject,
        "rank": share.rank,
        "train_examples": len(share.train),
        "test_examples": len(share.test),
    }


def _corpus(folder: Path, found: Mapping[str, Any]) -> Corpus:
    """The corpus as the manifest, JSON of our own, tells it."""
    return Corpus(
        labels=tuple(found["labels"]),
        organisations=tuple(
            OrganisationData(folder=folder / each["slug"], **each)
            for each in found["organisations"]
        ),
        pooled=folder / "pooled",
        probe=(folder / _PROBE).read_bytes(),
    )


def _write_probe(file: Path, rows: Sequence[tuple[str, str]]) -> None:
    lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in rows]
    file.write_text("".join(lines), "ascii")


def _write_folder(
    folder: Path, train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]
) -> None:
    folder.mkdir(parents=True)
    for name, rows in (("train.csv", train), ("test.csv", test)):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            writer.writerows(rows)


def _read(path: Path, label: str) -> list[Row]:
    """The rows of a CSV file with a header, checked for the columns that are needed."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = reader.fieldnames or (), list[Row](reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise CorpusRefused(f"{path.name} is not CSV in UTF-8: {error}.") from error
    for column in ("text", label):
        if column not in columns:
            raise CorpusRefused(f"{path.name} has no column {column!r}.")
    if not rows:
        raise CorpusRefused(f"{path.name} has no rows.")
    if ragged := [n for n, row in enumerate(rows, start=1) if None in (*row, *row.values())]:
        raise CorpusRefused(f"Row {ragged[0]} of {path.name} does not fit its header.")
    return rows


def _digest(path: Path) -> str:
    if not path.is_file():
        raise CorpusRefused(f"There is no file {path.name} in {path.parent}.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name(number: int) -> str:
    if number < len(_NAMES):
        return _NAMES[number]
    return f"Organisation {number + 1}"


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")

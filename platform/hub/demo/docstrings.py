"""English text every Python installation carries: its standard library's docstrings, by module.

The source files are parsed, never imported, so nothing of them runs.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FEWEST_WORDS = 6
MOST_PER_MODULE = 48
MOST_PUBLIC = 3  # of those beyond, which no organisation owns

# Modules whose text lies under another name; 3.12 moved datetime's.
_SOURCES: Mapping[str, tuple[str, ...]] = {
    "datetime": ("_pydatetime", "datetime"),
    "decimal": ("_pydecimal",),
}
_SKIPPED_FOLDERS = frozenset({"test", "tests", "__pycache__"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Subject:
    """What one fictional organisation of the demonstration owns: modules of one field."""

    organisation: str
    field: str
    rank: int
    modules: tuple[str, ...]


SUBJECTS = (
    Subject(
        "Aldgate Networks",
        "networking",
        8,
        (
            "ftplib",
            "http",
            "imaplib",
            "ipaddress",
            "smtplib",
            "socketserver",
            "ssl",
            "urllib",
            "wsgiref",
            "xmlrpc",
        ),
    ),
    Subject(
        "Brightwater Data",
        "data and numbers",
        8,
        (
            "calendar",
            "collections",
            "datetime",
            "decimal",
            "enum",
            "functools",
            "numbers",
            "operator",
            "random",
            "statistics",
        ),
    ),
    Subject(
        "Quillmark Publishing",
        "text",
        6,
        (
            "codecs",
            "configparser",
            "difflib",
            "doctest",
            "email",
            "locale",
            "optparse",
            "xml",
        ),
    ),
    Subject(
        "Stonegate Archives",
        "files",
        6,
        ("mailbox", "os", "pathlib", "shutil", "tarfile", "tempfile", "zipfile"),
    ),
    Subject(
        "Millrace Systems",
        "concurrency",
        4,
        ("asyncio", "concurrent", "contextlib", "multiprocessing", "subprocess", "threading"),
    ),
)


@dataclass(frozen=True, slots=True)
class Texts:
    """Docstrings of one module: what an organisation owns, and a few that all may read."""

    owned: list[str]
    public: list[str]


def docstrings_by_module() -> dict[str, Texts]:
    """Distinct docstrings of each subject's modules; no text stands under two modules.

    At most `MOST_PER_MODULE` a module are owned, and `MOST_PUBLIC` of the rest public. They are
    chosen and ordered by the text's SHA-256, so that the choice hangs on nothing but the texts.
    Modules this Python lacks are left out.
    """
    taken: set[str] = set()
    found: dict[str, Texts] = {}
    for module in sorted(name for subject in SUBJECTS for name in subject.modules):
        texts = {text for file in _files_of(module) for text in _texts_in(file)} - taken
        taken |= texts
        if texts:
            first = sorted(texts, key=fingerprint)[: MOST_PER_MODULE + MOST_PUBLIC]
            found[module] = Texts(first[:MOST_PER_MODULE], first[MOST_PER_MODULE:])
    return found


def fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _files_of(module: str) -> Iterator[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    for name in _SOURCES.get(module, (module,)):
        if (file := library / f"{name}.py").is_file():
            yield file
        for path in sorted((library / name).rglob("*.py")):
            if not _SKIPPED_FOLDERS.intersection(path.relative_to(library).parts):
                yield path


def _texts_in(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, _DOCUMENTED) and (docstring := ast.get_docstring(node)):
            words = docstring.split()
            if len(words) >= FEWEST_WORDS:
                yield " ".join(words)

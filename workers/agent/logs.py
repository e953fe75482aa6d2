"""Logs are events with fields, one line each; never an example, a path or a token.

For machines each is a JSON object; on a terminal, words that leave room for the progress bars.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from rich.console import Console

LOUD = (
    "celery", "filelock", "httpcore", "httpx", "httpx2", "huggingface_hub", "kombu", "peft",
    "py.warnings", "torch", "transformers",
)  # fmt: skip
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

terminal = Console(stderr=True, soft_wrap=True, markup=False, highlight=False, emoji=False)


def is_watched() -> bool:
    """Whether a person sees what is logged."""
    return sys.stderr.isatty()


class WordFormatter(logging.Formatter):
    """Time, level, event, fields: `2026-01-01T12:00:00Z INFO task leased round=3 task=…`."""

    def format(self, record: logging.LogRecord) -> str:
        told = "".join(f" {name}={value}" for name, value in _fields(record).items())
        return f"{_moment(record)} {record.levelname} {record.getMessage()}{told}"


class JsonFormatter(logging.Formatter):
    """`{"at": "2026-01-01T12:00:00Z", "level": "INFO", "event": "task leased", "round": 3}`."""

    def format(self, record: logging.LogRecord) -> str:
        standard = {"at": _moment(record), "level": record.levelname, "event": record.getMessage()}
        return json.dumps({**_fields(record), **standard}, default=str)


class TerminalHandler(logging.Handler):
    """Prints above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        terminal.print(self.format(record))


def configure() -> None:
    """Send events to stderr. Tracebacks are left out: they quote what they failed on."""
    watched = is_watched()
    handler = TerminalHandler() if watched else logging.StreamHandler(sys.stderr)
    handler.setFormatter(WordFormatter() if watched else JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)


def _moment(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
    return at.replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {k: v for k, v in sorted(vars(record).items()) if k not in STANDARD}

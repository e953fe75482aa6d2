"""Logs are events with fields, one line each; never an example, a path or a token."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

LOUD = (
    "celery", "filelock", "httpcore", "httpx", "httpx2", "huggingface_hub", "kombu", "peft",
    "py.warnings", "torch", "transformers",
)  # fmt: skip
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """Time, level, event, fields: `2026-01-01T12:00:00Z INFO task leased round=3 task=…`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
        fields = {k: v for k, v in vars(record).items() if k not in STANDARD}
        told = "".join(f" {name}={value}" for name, value in sorted(fields.items()))
        return f"{at.replace('+00:00', 'Z')} {record.levelname} {record.getMessage()}{told}"


def configure() -> None:
    """Send events to stderr. Tracebacks are left out: they quote what they failed on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.ERROR)

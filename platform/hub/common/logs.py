"""Logs are events with fields, one JSON object a line; ids are bound once per request or job.

Nothing secret is meant to be logged. What a library or a mistake lets through is taken out before
it is written: fields by their names, and texts that look like our tokens, keys and signatures.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

HIDDEN = "[hidden]"
SECRET_FIELDS = frozenset(
    {
        "api_key",
        "authorization",
        "cookie",
        "nonce",
        "password",
        "private_key",
        "secret",
        "sessionid",
        "set_cookie",
        "signature",
        "signature_input",
        "token",
    }
)
DULL_FIELDS = ("color_message", "taskName")  # what libraries add for other formatters
SECRET_TEXTS = re.compile(
    r"\b(?:foe_|enrol_|fdl_)[\w.:-]+"  # tokens and codes that the hub hands out
    r"|(?<=Bearer )\S+|(?<=Basic )\S+"
    r"|(?<=//)[^/\s:@]*:[^/\s@]+(?=@)"  # name:password of a URL
    r"|(?<=/password/reset/key/)[^/\s]+|(?<=/confirm-email/)[^/\s]+"
    r"|(?<=[?])\S+"  # queries of addresses
)


def hide_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take secrets out of an event's fields; what libraries add for others goes too."""
    for name in DULL_FIELDS:
        event.pop(name, None)
    return {
        name: HIDDEN if name.lower().replace("-", "_") in SECRET_FIELDS else _hidden(value)
        for name, value in event.items()
    }


def _hidden(value: object) -> object:
    if isinstance(value, str):
        return SECRET_TEXTS.sub(HIDDEN, value)
    if isinstance(value, dict):
        return hide_secrets(None, "", value)
    if isinstance(value, list | tuple):
        return [_hidden(item) for item in value]
    return value


SHARED = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.stdlib.ExtraAdder(),
)


def formatter() -> logging.Formatter:
    """A formatter for standard logging that writes what structlog would write."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            hide_secrets,
            structlog.processors.JSONRenderer(),
        ],
    )


def configure() -> None:
    """Send structlog's own events, and warnings, the same way as the standard library's."""
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )

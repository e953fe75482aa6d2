"""JSON without surprises: what two readers could understand differently is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import IO, Any, Never

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

JSON_LIMIT_BYTES = 2**20
MAX_DEPTH = 32
MAX_DIGITS = 20  # of an integer


class Malformed(ParseError):
    default_code = "malformed"


def strict_json(body: bytes) -> Any:
    """Parse JSON (RFC 8259) of at most 1 MiB in UTF-8.

    Refused are duplicate members, NaN and infinities, integers beyond 64 bits, nesting deeper
    than 32, and strings that cannot be stored (NUL, lone surrogates).

    Raises:
        Malformed: it is not such JSON; the detail never repeats the input.
    """
    if len(body) > JSON_LIMIT_BYTES:
        raise Malformed(f"JSON is longer than {JSON_LIMIT_BYTES} bytes.")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_distinct,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except UnicodeDecodeError as error:
        raise Malformed("JSON must be UTF-8.") from error
    except json.JSONDecodeError as error:
        raise Malformed(f"Not JSON: {error.msg}, at character {error.pos}.") from error
    except RecursionError as error:
        raise Malformed(f"JSON is nested deeper than {MAX_DEPTH}.") from error
    _check(value, MAX_DEPTH)
    return value


def _check(value: Any, levels: int) -> None:
    if isinstance(value, str):
        if "\x00" in value or (not value.isascii() and _has_surrogate(value)):
            raise Malformed("A string holds NUL or half a character.")
    elif isinstance(value, dict | list):
        if not levels:
            raise Malformed(f"JSON is nested deeper than {MAX_DEPTH}.")
        for part in value:
            _check(part, levels - 1)
        for part in value.values() if isinstance(value, dict) else ():
            _check(part, levels - 1)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("An object names a member twice.")
    return members


def _no_constant(name: str) -> Never:
    raise Malformed(f"{name} is not JSON.")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS or not -(2**63) <= (value := int(digits)) < 2**63:
        raise Malformed("An integer does not fit into 64 bits.")
    return value


def _finite(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise Malformed("A number is too large.")
    return value


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return strict_json(stream.read(JSON_LIMIT_BYTES + 1))

"""Canonical JSON (RFC 8785): there is one way to write a document, and this tells whether it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from verifier.faults import Wrong

EXACT = 2**53  # beyond this, whole numbers are not kept exactly
_FIXED = 21  # digits of a whole number that is written without an exponent
_SMALL = -6  # exponent of the smallest number that is

_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def document(text: str) -> dict[str, Any]:
    """The JSON object that a text is in canonical form. Raises Wrong."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Wrong("it is not JSON") from error
    if not isinstance(found, dict):
        raise Wrong("it is no JSON object")
    if _encoder.encode(found) != text and written(found) != text:
        raise Wrong("it is not in canonical form")
    return found


def written(value: object) -> str:
    """RFC 8785, of what `json.loads` gives. Raises Wrong."""
    match value:
        case None | bool() | str():
            return _encoder.encode(value)
        case int() | float():
            return _number(value)
        case list():
            return f"[{','.join(map(written, value))}]"
        case dict():
            return f"{{{','.join(_members(value))}}}"
    raise Wrong(f"{type(value).__name__} is nothing that JSON has")


def _members(value: Mapping[str, object]) -> list[str]:
    names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
    return [f"{_encoder.encode(name)}:{written(value[name])}" for name in names]


def _number(value: float) -> str:
    """As ECMAScript writes it: the shortest digits that read back as the same double."""
    if isinstance(value, int) and abs(value) < EXACT:
        return str(value)
    digits, point = _shortest(abs(float(value)))
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= _FIXED:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= _FIXED:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _SMALL < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def _shortest(value: float) -> tuple[str, int]:
    """Digits without zeros at either end, and where the point stands in them. Raises Wrong."""
    if value != value or value == float("inf"):  # noqa: PLR0124 (only NaN differs from itself)
        raise Wrong("it holds a number that is none")
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return (digits, point) if digits else ("0", 1)

"""What comes in: the fields that are named, each of its JSON type, and no others.

`In` is the base of every `…In` serializer. JSON has types, so "10" is not 10 and 1 is not true;
the framework's own fields would take both. What goes out needs no help: `…Out` serializers list
their fields by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from hub.common import text

# The JSON types of each kind of field; the first that fits counts, text is what is left.
JSON_TYPES: tuple[tuple[type[serializers.Field[Any, Any, Any, Any]], tuple[type, ...]], ...] = (
    (serializers.BooleanField, (bool,)),
    (serializers.IntegerField, (int,)),
    (serializers.FloatField, (int, float)),
    (serializers.ListField, (list,)),
    (serializers.ListSerializer, (list,)),
    (serializers.DictField, (dict,)),
    (serializers.BaseSerializer, (dict,)),
    (serializers.JSONField, (bool, int, float, str, list, dict)),
    (serializers.Field, (str,)),
)
UUID_LENGTH = 36


class In(serializers.Serializer[Any]):
    """A request body; a field that does not exist is an error, and so is one of another type."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            if unknown := sorted(set(data) - set(self.fields))[:10]:
                wrong = {name[:80]: ["There is no such field."] for name in unknown}
                raise serializers.ValidationError(wrong, code="unknown_field")
            if wrong := self._mistyped(data):
                raise serializers.ValidationError(wrong, code="wrong_type")
        return super().to_internal_value(data)

    def _mistyped(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        given = ((name, self.fields[name], value) for name, value in data.items())
        return {
            name: ["Not a value of the right type."]
            for name, field, value in given
            if not _fits(field, value)
        }


def _fits(field: serializers.Field[Any, Any, Any, Any], value: Any) -> bool:
    """Whether a JSON value has the field's type; null is left to the field."""
    if value is None:
        return True
    types = next(types for kind, types in JSON_TYPES if isinstance(field, kind))
    if type(value) not in types:
        return False
    if isinstance(field, serializers.ListField):
        return all(_fits(field.child, item) for item in value)
    return not isinstance(field, serializers.UUIDField) or len(value) == UUID_LENGTH


class TextField(serializers.CharField):
    """One line of visible text, in NFC; a name, a reason."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str):
            try:
                data = self.fit(data, self.max_length or text.LONGEST)
            except text.UnfitText as unfit:
                raise serializers.ValidationError(unfit.detail, code=unfit.code) from unfit
        return super().run_validation(data)

    def fit(self, value: str, most: int) -> str:
        return text.line(value, most=most)


class ParagraphsField(TextField):
    """Text of several lines, in NFC."""

    def fit(self, value: str, most: int) -> str:
        return text.paragraphs(value, most=most)


class DigestField(serializers.RegexField):
    """A SHA-256 in lower-case hex."""

    def __init__(self, **options: Any) -> None:
        super().__init__(r"^[0-9a-f]{64}\Z", **options)


class ReasonIn(In):
    """Why somebody does something; goes into the record."""

    reason = TextField(max_length=450, default="", allow_blank=True)

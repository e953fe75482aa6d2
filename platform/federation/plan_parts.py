"""What every section of the plan is."""

from __future__ import annotations

from typing import ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
)


class Part(BaseModel):
    """A frozen section of the plan; unknown fields and loose types are refused.

    `later`: fields that were not there at first. They are written only where they are used, so
    that what never heard of them reads a plan that does without them, and its digest stays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unused(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        usual = {name: type(self).model_fields[name].default for name in self.later}
        unused = {name for name, default in usual.items() if getattr(self, name) == default}
        return {name: value for name, value in write(self).items() if name not in unused}

"""The OpenAPI description: besides what REST framework says of itself, its errors and its keys."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema as Spectacular
from drf_spectacular.plumbing import ResolvedComponent, build_media_type_object
from drf_spectacular.utils import Direction

from hub.common.api.problems import PROBLEM_JSON

TEXT = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457). `code` is stable; act on it.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Explains the code."},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "code": {"type": "string", "examples": ["not_found", "invalid_fields", "forbidden"]},
        "request_id": {"type": "string", "description": "Under which the log keeps the cause."},
        "errors": {
            "type": "object",
            "description": "What is wrong, by field.",
            "additionalProperties": {"type": "array", "items": TEXT},
        },
    },
}
MEANINGS = {
    "400": "The body, a parameter or a header cannot be read.",
    "401": "Who asks was not proved.",
    "403": "The role does not allow it.",
    "404": "There is no such thing, or it is not yours to see.",
    "409": "It conflicts with the present state.",
    "410": "It was there, and is gone for good.",
    "412": "What the request presumes does not hold.",
    "413": "The body is too large.",
    "415": "The body is not of an accepted type.",
    "422": "Well-formed, but it cannot be right.",
    "428": "The Idempotency-Key is missing.",
    "429": "Too many tries; `Retry-After` says when again.",
    "503": "A service that this needs is away; `Retry-After` says when to try again.",
}
RENAMED = {
    "agent": "agent protocol",
    "plan schema": "start",
    "version comparison": "versions",
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    "description": "A new random value for each request; the same one again repeats the answer.",
}


class AutoSchema(Spectacular):
    """Adds the problem documents that an operation may answer with, and its Idempotency-Key."""

    def _get_parameters(self) -> list[dict[str, Any]]:
        stated: list[dict[str, Any]] = super()._get_parameters()
        return [*stated, KEY] if self._is_once else stated

    def get_tags(self) -> list[str]:
        """The first word after the version, so that one thing's operations stand together."""
        stated: list[str] = super().get_tags()
        words = [tag.replace("-", " ") for tag in stated]
        return [RENAMED.get(word, word) for word in words] or ["start"]

    def get_summary(self) -> str:
        """The first sentence of the description; of a single row, whose it is one of."""
        if getattr(self.view, "action", "") == "retrieve":
            return f"One {self.get_tags()[0].removesuffix('s')}"
        text = " ".join(self.get_description().split("\n\n")[0].split())
        return text.partition(". ")[0].removesuffix(".")

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        if direction != "response":
            return bodies
        reference = self._problem().ref
        for status in self._refusals():
            content = {PROBLEM_JSON: build_media_type_object(reference)}
            bodies.setdefault(status, {"description": MEANINGS[status], "content": content})
        return dict(sorted(bodies.items()))

    @property
    def _is_once(self) -> bool:
        name = getattr(self.view, "action", None) or self.method.lower()
        return bool(getattr(getattr(self.view, name, None), "is_once", name == "create"))

    def _refusals(self) -> list[str]:
        has_body = self.method in {"POST", "PUT", "PATCH"}
        statuses = {"400", "429", "503"}
        statuses |= {"401", "403", "404"} if self.view.authentication_classes else set()
        statuses |= {"404", "409", "410", "422"} if "{" in self.path else set()
        statuses |= {"412"} if self.method == "PATCH" else set()  # uploads in parts
        statuses |= {"404", "409", "413", "415", "422"} if has_body else set()
        statuses |= {"409"} if self.method == "DELETE" else set()
        return sorted(statuses | ({"428"} if self._is_once else set()))

    def _problem(self) -> ResolvedComponent:
        problem = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Problem", type=ResolvedComponent.SCHEMA, schema=PROBLEM, object="Problem"
        )
        self.registry.register_on_missing(problem)
        return problem

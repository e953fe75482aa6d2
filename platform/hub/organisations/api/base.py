"""The base of everything that agents call."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar, cast

from pydantic import BaseModel, ValidationError
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches

from federation.negotiation import NotUnderstood, Peer, understood
from federation.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION
from hub.common.api.parsers import strict_json
from hub.common.api.permissions import IsAgent
from hub.common.api.views import Contract
from hub.common.errors import Invalid
from hub.organisations.api.authentication import SignedAgentAuthentication
from hub.organisations.errors import ProtocolMismatch
from hub.organisations.models import Agent

JSON = "application/json"
MessageT = TypeVar("MessageT", bound=BaseModel)


class MessageView(Contract):
    """Speaks the messages of `federation.protocol`, with whoever understands them."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Tell an agent of another version first of all, whatever else is wrong."""
        _ = self.peer
        super().initial(request, *args, **kwargs)

    @property
    def peer(self) -> Peer:
        """Raises ProtocolMismatch."""
        try:
            return understood(self.request.headers.get(PROTOCOL_HEADER))
        except NotUnderstood as mismatch:
            raise ProtocolMismatch(str(mismatch), protocol=PROTOCOL_VERSION) from mismatch

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {**super().default_response_headers, PROTOCOL_HEADER: PROTOCOL_VERSION}

    def message(self, model: type[MessageT]) -> MessageT:
        """The body as a message.

        Raises:
            UnsupportedMediaType: it does not say that it is JSON (415).
            Malformed: not JSON as it must be (400).
            Invalid: JSON, but not such a message (422); `errors` says what, by field.
        """
        body = self.raw_body
        if not media_type_matches(JSON, self.request.content_type):
            raise UnsupportedMediaType(self.request.content_type)
        strict_json(body)
        try:
            return model.model_validate_json(body, strict=True, extra=self.peer.extra)
        except ValidationError as error:
            raise refusal_of(error) from error


class AgentView(MessageView):
    """A view for agents alone, by their signature."""

    authentication_classes = (SignedAgentAuthentication,)
    permission_classes = (IsAgent,)
    checks_body: ClassVar[bool] = False

    @property
    def agent(self) -> Agent:
        return cast("Agent", self.request.auth)


def refusal_of(error: ValidationError) -> Invalid:
    """A message's errors by the dotted name of their field, without repeating its values."""
    errors: dict[str, list[str]] = {}
    for wrong in error.errors(include_url=False, include_input=False, include_context=False):
        errors.setdefault(".".join(map(str, wrong["loc"])), []).append(wrong["msg"])
    name, messages = next(iter(errors.items()))
    return Invalid(f"{name}: {messages[0]}" if name else messages[0], errors=errors)


def message_schema(model: type[BaseModel]) -> Any:
    """How `extend_schema` is told of a message; its pydantic extension does the rest."""
    return model

"""What every view of the API can do: read its body strictly, and answer a key once.

A view says who may call it (`permission_classes`), what they see (`get_queryset`), and which
service does the work. Who forgets the first is answered 403 by the default, and fails a test.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

from django.contrib.auth import get_user_model
from django.db.models import Model
from rest_framework.authentication import BaseAuthentication
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView
from rest_framework.viewsets import GenericViewSet

from hub.common.actors import Actor
from hub.common.api.authentication import BearerAuthentication, BrowserAuthentication
from hub.common.api.parsers import Malformed
from hub.common.errors import KeyMissing
from hub.common.services import Answer, answer_once

KEY = re.compile(r"[\x21-\x7e]{1,128}")
REPLAYED = "Idempotency-Replayed"

Authentication: TypeAlias = Sequence[type[BaseAuthentication]]
ModelT = TypeVar("ModelT", bound=Model)


class Contract(APIView):
    """Strict bodies and idempotency, for views of people and of agents."""

    @property
    def person(self) -> Any:
        """The user who asks; for views that only people may call."""
        # The schema is drawn without anybody asking.
        if getattr(self, "swagger_fake_view", False):
            return get_user_model()()
        return self.request.user

    @property
    def actor(self) -> Actor:
        return cast("Actor", self.person.actor)

    @property
    def raw_body(self) -> bytes:
        """The body as it came; stays readable when `request.data` is parsed after it."""
        return self.request._request.body  # noqa: SLF001 (the framework hides it)

    def require_key(self) -> str:
        """The caller's name for this request, by which a repetition is known.

        Raises:
            KeyMissing: there is none.
            Malformed: it is not 1 to 128 visible ASCII characters.
        """
        key = self.request.headers.get("Idempotency-Key")
        if not key:
            raise KeyMissing("Send a new random key; send the same one if you must ask again.")
        if not KEY.fullmatch(key):
            raise Malformed("An Idempotency-Key has 1 to 128 visible ASCII characters.")
        return key

    def validated(self, serializer_class: type[Serializer[Any]]) -> dict[str, Any]:
        """The body's fields, checked for shape; what they mean is the service's business."""
        _ = self.raw_body
        serializer = serializer_class(data=self.request.data, context={"view": self})
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def once(self, answer: Callable[[], Response]) -> Response:
        """Answer this key for the first time, or again as the first time.

        What `answer` writes and the kept answer are one transaction.
        """
        given = answer_once(
            scope=f"{self.actor.kind}:{self.actor.id}",
            key=self.require_key(),
            digest=self._digest(),
            answer=lambda: _kept(answer()),
        )
        headers = {REPLAYED: "true"} if given.is_repeated else {}
        return Response(given.body, status=given.status, headers=headers)

    def _digest(self) -> str:
        request = self.request
        asked = f"{request.method} {request.get_full_path()}\n".encode() + self.raw_body
        return hashlib.sha256(asked).hexdigest()


def _kept(response: Response) -> Answer:
    return Answer(response.status_code, json.loads(JSONRenderer().render(response.data)))


def once(method: Callable[..., Response]) -> Callable[..., Response]:
    """Make a view's method need an Idempotency-Key and answer each key once.

    Not for what answers with a secret: kept answers are readable in the database.
    """

    @functools.wraps(method)
    def asked(view: Contract, request: Request, *args: Any, **kwargs: Any) -> Response:
        return view.once(lambda: method(view, request, *args, **kwargs))

    asked.is_once = True  # type: ignore[attr-defined]  # the schema describes the header
    return asked


class ApiView(Contract):
    """A view for people, by token or in the browser."""

    authentication_classes: Authentication = (BearerAuthentication, BrowserAuthentication)


class ReadingViewSet(Contract, GenericViewSet[ModelT]):
    """Rows for people; a mixin for each way to read them, a method for what writes."""

    authentication_classes: Authentication = (BearerAuthentication, BrowserAuthentication)
    lookup_value_converter: ClassVar[str] = "uuid"
    ordering: ClassVar[tuple[str, ...]] = ("-created_at", "-id")


class ApiViewSet(ListModelMixin, RetrieveModelMixin, ReadingViewSet[ModelT]):
    """Rows for people, to list and to retrieve."""

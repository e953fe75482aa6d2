"""The playground, for scripts: a question, and a place where its answer will be."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from federation.modelling.questions import (
    MOST_CHARACTERS,
    MOST_IMAGE_BYTES,
    MOST_NEW_TOKENS,
    USUAL_NEW_TOKENS,
    Question,
)
from hub.catalogue.playground import asking as playground
from hub.catalogue.playground import questions
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In
from hub.common.api.views import ApiView
from hub.common.errors import Invalid
from hub.common.handler import until_woken
from hub.common.waiting import LONGEST_WAIT, wait_until

WAIT = OpenApiParameter(
    "wait", float, description=f"Longest wait for the answer in seconds, up to {LONGEST_WAIT:.0f}."
)
HELLO = OpenApiExample("A text", value={"text": "My card is lost"}, request_only=True)


class QuestionIn(In):
    text = serializers.CharField(
        max_length=MOST_CHARACTERS,
        default="",
        allow_blank=True,
        trim_whitespace=False,
        help_text="For a masked model, three underscores stand where a word is to be found.",
    )
    image = serializers.CharField(
        max_length=4 * (MOST_IMAGE_BYTES + 2) // 3,
        default=None,
        allow_null=True,
        help_text="A PNG, JPEG or WebP file in base64.",
    )
    new_tokens = serializers.IntegerField(
        min_value=1,
        max_value=MOST_NEW_TOKENS,
        default=USUAL_NEW_TOKENS,
        help_text="Most tokens of a text that is generated.",
    )


class GuessOut(serializers.Serializer[Any]):
    words = serializers.CharField()
    share = serializers.FloatField(help_text="Its probability.")


class ReplyOut(serializers.Serializer[Any]):
    guesses = serializers.ListField(
        child=GuessOut(many=True), help_text="One list, or one for each gap; the likeliest first."
    )
    others = serializers.IntegerField(help_text="Labels that are not listed.")
    text = serializers.CharField(allow_null=True, help_text="What was generated.")
    is_cut = serializers.BooleanField(help_text="Tokens or time were over before the text was.")


class AnswerOut(serializers.Serializer[Any]):
    version = ReplyOut()
    base = ReplyOut(
        allow_null=True, help_text="null: the base has no head for labels, so nothing to say."
    )
    is_shortened = serializers.BooleanField(help_text="The text was cut as in training.")
    seconds = serializers.FloatField()


class WaitingOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    state = serializers.CharField(help_text="`waiting`.")


class TryView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(
        operation_id="version_try",
        parameters=[WAIT],
        request=QuestionIn,
        responses={200: AnswerOut, 202: WaitingOut},
        examples=[HELLO],
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Ask a version and its base, side by side; what is asked is neither stored nor logged.

        202 says where the answer will be, for a minute. Never repeated by itself: ask again.
        """
        asked = request._request  # noqa: SLF001 (the same one each time that this looks)
        question_id: UUID | None = getattr(asked, "question_id", None)
        if question_id is None:
            question = _question(self.validated(QuestionIn))
            question_id = playground.ask(user=self.person, version_id=pk, question=question)
            asked.question_id = question_id  # type: ignore[attr-defined]
        return _found(self, request, pk, question_id)


class AnswerView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(
        operation_id="version_answer",
        parameters=[WAIT],
        responses={200: AnswerOut, 202: WaitingOut},
    )
    def get(self, request: Request, pk: UUID, question_id: UUID) -> Response:
        """The answer to a question of yours, within a minute of its being there."""
        return _found(self, request, pk, question_id)


def _found(view: ApiView, request: Request, pk: UUID, question_id: UUID) -> Response:
    private = {"Cache-Control": "no-store"}
    answer = playground.answer_to(user=view.person, version_id=pk, question_id=question_id)
    if answer is not None:
        return Response(answer.model_dump(), headers=private)
    waiting = Response(
        {"id": question_id, "state": "waiting"},
        status=202,
        headers={
            **private,
            "Location": reverse("version-answer", args=[pk, question_id]),
            "Retry-After": "1",
        },
    )
    asked = request._request  # noqa: SLF001
    until = wait_until(asked, _seconds(asked.GET.get("wait", "0")))
    return until_woken(waiting, channels=[questions.channel(question_id)], until=until)


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0


def _question(body: dict[str, Any]) -> Question:
    """Raises Invalid; never with the words of the question."""
    if not body["text"].strip() and body["image"] is None:
        raise Invalid("a question has a text or an image")
    try:
        return Question.model_validate(body)
    except ValidationError:
        raise Invalid("the image is not in base64") from None

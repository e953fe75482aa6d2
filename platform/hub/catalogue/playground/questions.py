"""Questions on their way to a compute worker and answers on their way back: in Redis, a minute.

They are in no table, no message and no log. Redis may forget them at any time; then the person
asks again.

`question:<id>` and `answer:<id>` hold sealed bytes. `waiting` and `waiting:<person>` are sorted
sets of ids with the time at which each no longer counts.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Final, cast
from uuid import UUID, uuid4

import redis
from django.conf import settings
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict

from federation.modelling.questions import Answer, Question
from hub.catalogue.errors import AnswerGone, PlaygroundBusy, TooManyQuestions
from hub.catalogue.sealing import BrokenSeal, sealed, unsealed
from hub.common.wakeups import wake

PREFIX: Final = "foedus:playground:"
QUESTION_SECONDS: Final = 60  # how long a question waits for a worker
ANSWER_SECONDS: Final = 60  # how long an answer waits for the person
RETRY_SECONDS: Final = 5
FULL, PERSON_FULL = 1, 2  # what ADMIT refuses with
BROKEN: Final = "internal_error"
# KEYS: waiting, the person's own, the question. ARGV: now, until, id, most, most of one person,
# the question, seconds it is kept, seconds it counts.
ADMIT: Final = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[5]) then return 2 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 1 end
for i = 1, 2 do
  redis.call('ZADD', KEYS[i], ARGV[2], ARGV[3])
  redis.call('EXPIRE', KEYS[i], ARGV[8])
end
redis.call('SET', KEYS[3], ARGV[6], 'EX', ARGV[7])
return 0
"""


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Asked(Message):
    """A question, about which version, and whose."""

    version: UUID
    person: UUID
    question: Question


class Answered(Message):
    """What came of it: an answer, or why there is none."""

    version: UUID
    person: UUID
    answer: Answer | None = None
    code: str = ""
    detail: str = ""


def put(asked: Asked) -> UUID:
    """Have a question wait for a worker.

    Raises:
        TooManyQuestions: the person's earlier ones are not answered yet.
        PlaygroundBusy: as many wait as may.
    """
    pk, now, held = uuid4(), time.time(), _held_seconds()
    content = asked.model_dump_json().encode()
    refusal = _client().eval(
        ADMIT,
        3,
        *(_key("waiting"), _key("waiting", asked.person), _key("question", pk)),
        *(now, now + held, str(pk), settings.PLAYGROUND_WAITING, settings.PLAYGROUND_PER_PERSON),
        *(sealed(content, name=f"question:{pk}"), QUESTION_SECONDS, held),
    )
    if refusal == PERSON_FULL:
        said = _("At most %(most)s at a time; wait for their answers.")
        detail = said % {"most": settings.PLAYGROUND_PER_PERSON}
        raise TooManyQuestions(detail, retry_after=RETRY_SECONDS)
    if refusal == FULL:
        said = _("%(waiting)s questions wait already; ask again in a moment.")
        detail = said % {"waiting": settings.PLAYGROUND_WAITING}
        raise PlaygroundBusy(detail, retry_after=RETRY_SECONDS)
    return pk


def withdraw(pk: UUID, asked: Asked) -> None:
    """Nobody will answer it."""
    with _client().pipeline() as together:
        together.delete(_key("question", pk))
        _forget(together, pk, asked.person)
        together.execute()


def take(pk: UUID) -> Asked | None:
    """The question, which nobody else gets after this; nothing where it is gone."""
    box = cast("bytes | None", _client().getdel(_key("question", pk)))
    if box is None:
        return None
    try:
        return Asked.model_validate_json(unsealed(box, name=f"question:{pk}"))
    except BrokenSeal:  # somebody else put it there
        return None


def reply(pk: UUID, answered: Answered) -> None:
    """Leave an answer where the person looks for it, and wake who waits."""
    box = sealed(answered.model_dump_json().encode(), name=f"answer:{pk}")
    with _client().pipeline() as together:
        together.set(_key("answer", pk), box, ex=ANSWER_SECONDS)
        _forget(together, pk, answered.person)
        together.execute()
    wake(channel(pk))


def find(pk: UUID, *, person: UUID, version: UUID) -> Answered | None:
    """What came of a person's question; nothing while it waits.

    Raises:
        AnswerGone: there is no such question of theirs, or no longer.
    """
    # In this order: what is answered between the two looks is found by the second.
    until = _client().zscore(_key("waiting", person), str(pk))
    answered = _answer(pk)
    if answered is not None and (answered.person, answered.version) == (person, version):
        return answered
    if until is None or float(until) < time.time():
        raise AnswerGone(_("Ask again. Nothing of it was kept."))
    return None


def channel(pk: UUID) -> str:
    """Of the wake-up that tells of an answer."""
    return f"answer:{pk}"


def _answer(pk: UUID) -> Answered | None:
    box = cast("bytes | None", _client().get(_key("answer", pk)))
    if box is None:
        return None
    try:
        return Answered.model_validate_json(unsealed(box, name=f"answer:{pk}"))
    except BrokenSeal:  # somebody else put it there
        return None


def _forget(together: redis.client.Pipeline, pk: UUID, person: UUID) -> None:
    together.zrem(_key("waiting"), str(pk))
    together.zrem(_key("waiting", person), str(pk))


def _held_seconds() -> int:
    """How long a question counts for one that waits, if nobody ever answers."""
    return QUESTION_SECONDS + int(settings.PLAYGROUND_SECONDS) + 5


def _key(*parts: object) -> str:
    return PREFIX + ":".join(str(part) for part in parts)


@cache
def _client() -> redis.Redis:
    """A client that gives up soon: a request must not wait for Redis."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=1)

"""The playground: a question to a version and its base, answered by a compute worker.

What is asked and answered is written down nowhere; `questions` says where it lies meanwhile.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from federation.modelling.questions import (
    GENERATING,
    Answer,
    Asked,
    Question,
    playground_of,
)
from federation.plan import Plan
from federation.plan_tasks import Labelled
from hub.accounts.models import User
from hub.catalogue.errors import NoPlayground, NotAnswered
from hub.catalogue.models import BaseModel, ModelVersion
from hub.catalogue.playground import questions
from hub.catalogue.selectors import require_version
from hub.common.errors import DependencyDown
from hub.dispatch import Job, send_fleeting

BYTES_PER_PARAMETER = 4  # the playground computes in fp32


@dataclass(frozen=True)
class Playground:
    """What a version can be asked; needs its `base_model`."""

    version: ModelVersion

    @cached_property
    def plan(self) -> Plan:
        return Plan.model_validate_json(json.dumps(self.version.plan))

    @property
    def kind(self) -> Asked | None:
        return playground_of(self.plan)

    @property
    def generates(self) -> bool:
        return self.kind in GENERATING

    @property
    def refusal(self) -> str:
        """Why it cannot be tried; empty where it can."""
        if self.kind is None:
            return _("There is no playground for models of this task.")
        return "" if fits(self.version.base_model) else _too_large(self.version.base_model)

    @property
    def example(self) -> str:
        """Something to begin with; from the plan alone, never from anybody's data."""
        match self.kind:
            case "labels" if isinstance(self.plan.task, Labelled):
                return f"A few words about {self.plan.task.labels[0].replace('_', ' ')}."
            case "gaps":
                return "The capital of France is ___."
            case "chat":
                return "What can you help me with?"
        return "Once upon a time"


def fits(base: BaseModel) -> bool:
    most: int = settings.PLAYGROUND_BASE_BYTES
    return BYTES_PER_PARAMETER * base.parameters <= most


def _too_large(base: BaseModel) -> str:
    needed, most = BYTES_PER_PARAMETER * base.parameters / 2**30, settings.PLAYGROUND_BASE_BYTES
    return _(
        "Its base needs %(needed)s GiB, and this hub keeps %(most)s GiB for models that are tried. "
        "Load it on a machine of yours instead."
    ) % {"needed": f"{needed:.1f}", "most": f"{most / 2**30:.1f}"}


def ask(*, user: User, version_id: UUID, question: Question) -> UUID:
    """Have a worker asked; returns the question's id.

    Raises:
        NotFound: the version is not the user's to see.
        NoPlayground: it cannot be tried here.
        TooManyQuestions, PlaygroundBusy: others wait before it.
        DependencyDown: the broker is away.
    """
    version = require_version(user, version_id)
    if refusal := Playground(version).refusal:
        raise NoPlayground(refusal)
    asked = questions.Asked(version=version.pk, person=user.pk, question=question)
    pk = questions.put(asked)
    try:
        send_fleeting(Job.ANSWER_QUESTION, str(pk), seconds=questions.QUESTION_SECONDS)
    except DependencyDown:
        questions.withdraw(pk, asked)
        raise
    return pk


def answer_to(*, user: User, version_id: UUID, question_id: UUID) -> Answer | None:
    """The answer to a question of the user's; nothing while it waits.

    Raises:
        NotFound: the version is not the user's to see.
        AnswerGone: there is no such question, or no longer.
        NotAnswered: the worker refused it.
        DependencyDown: the worker broke on it.
    """
    version = require_version(user, version_id)
    found = questions.find(question_id, person=user.pk, version=version.pk)
    if found is None or found.answer is not None:
        return found.answer if found else None
    if found.code == questions.BROKEN:
        raise DependencyDown(
            _("Something broke on our side; the log has its kind, not your words.")
        )
    raise NotAnswered(found.detail, code=found.code)

"""Answering questions of the playground."""

from __future__ import annotations

import json
import logging

from django.conf import settings

from federation.modelling.messages import ModellingRefused
from federation.modelling.questions import Answer
from federation.plan import Plan
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import ModelVersion
from hub.catalogue.playground.questions import BROKEN, Answered, Asked
from jobs.folders import base_folder

logger = logging.getLogger(__name__)


def answered(asked: Asked) -> Answered:
    """What the version and its base say, or why they do not."""
    found = {"version": asked.version, "person": asked.person}
    try:
        return Answered(**found, answer=_answer(asked))
    except ModellingRefused as refused:
        return Answered(**found, code=refused.code, detail=refused.detail)
    except Exception as broken:  # noqa: BLE001
        # The edge of what is private: a traceback or a library's message may quote the question.
        logger.error(  # noqa: TRY400
            "a question was not answered", extra={"cause": type(broken).__name__}
        )
        return Answered(**found, code=BROKEN)


def _answer(asked: Asked) -> Answer:
    from federation.modelling.asking import ask

    version = ModelVersion.objects.select_related("base_model").get(pk=asked.version)
    return ask(
        base=base_folder(version.base_model),
        plan=Plan.model_validate_json(json.dumps(version.plan)),
        adapter=store().local_path(version.adapter_id),
        question=asked.question,
        seconds=settings.PLAYGROUND_SECONDS,
    )

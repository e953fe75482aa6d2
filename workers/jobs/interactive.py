"""What a person waits for, in front of the screen; a compute worker does it when all else is done.

A message names a question and nothing of it. It is asked once: who waits asks again.
"""

from __future__ import annotations

from hub.catalogue.playground import questions
from hub.common.errors import NotFound
from hub.dispatch import Job
from jobs.app import app
from jobs.asking import answered
from jobs.policies import identifier


@app.task(name=Job.ANSWER_QUESTION.value, throws=(NotFound,))
def answer_question(question_id: str) -> None:
    """Answer a question of the playground; delivered twice, the second finds none."""
    pk = identifier(question_id)
    asked = questions.take(pk)
    if asked is not None:
        questions.reply(pk, answered(asked))

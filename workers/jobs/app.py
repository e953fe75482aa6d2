"""The workers' Celery application.

Nothing here imports torch: a prefork parent that has run it hangs its children. `compute` jobs
import it when they run, in a solo worker.
"""

from __future__ import annotations

import importlib
import os

import django
from celery import Celery, Task
from celery.signals import setup_logging
from django_structlog.celery.signals import bind_extra_task_metadata
from django_structlog.celery.steps import DjangoStructLogInitStep
from structlog.contextvars import bind_contextvars

MODULES = [
    f"jobs.{name}"
    for name in ("compute", "coordination", "interactive", "notifying", "periodic", "transfers")
]

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django.setup()


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """Celery leaves logging as Django has configured it."""


def make_app() -> Celery:
    from django.conf import settings

    from jobs.schedule import schedule

    made = Celery("foedus", include=MODULES)
    made.conf.update(settings.CELERY)
    made.conf.beat_schedule = schedule()
    made.steps["worker"].add(DjangoStructLogInitStep)
    importlib.import_module("jobs.life")  # says that this process lives; needs Django
    bind_extra_task_metadata.connect(bind_job)
    return made


def bind_job(task: Task[..., None], **_: object) -> None:
    """Every line that a job logs says which job it is, and what it was asked about."""
    bind_contextvars(job=task.name, about=list(task.request.args or ()))


app = make_app()

"""The workers' Celery application.

Nothing here imports torch: a prefork parent that has run it hangs its children. `compute` jobs
import it when they run, in a solo worker.
"""

from __future__ import annotations

import os

import django
from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
django.setup()


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """Celery leaves logging as Django has configured it."""


def make_app() -> Celery:
    from django.conf import settings

    from jobs.schedule import schedule

    made = Celery("foedus", include=["jobs.compute", "jobs.coordination", "jobs.periodic"])
    made.conf.update(settings.CELERY)
    made.conf.beat_schedule = schedule()
    return made


app = make_app()

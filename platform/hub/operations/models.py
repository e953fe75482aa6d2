"""What workers say of themselves, and the jobs that did not end well."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.utils import timezone

from hub.common.models import Stateful, Transitions

PULSE_SECONDS = 10.0  # between two signs of life
SILENT_AFTER = timedelta(seconds=3.5 * PULSE_SECONDS)


class Process(models.Model):
    """A worker or the clock, under the name that Celery knows it by; one row through all its lives.

    It writes the row by itself, also while a job has its only thread. Web processes have none:
    whoever reads this has one.
    """

    name = models.CharField(primary_key=True, max_length=120)  # "compute@host"
    program = models.CharField(max_length=20)  # worker, compute or beat
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=32)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)  # when it was told to stop, and did
    doing = models.JSONField(default=list)  # of {"id", "job", "about", "since"}
    done = models.PositiveBigIntegerField(default=0)  # jobs since it started
    failed = models.PositiveBigIntegerField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)  # messages that meant nothing

    class Meta:
        ordering = ("name",)
        verbose_name_plural = "processes"

    def __str__(self) -> str:
        return self.name

    @property
    def state(self) -> str:
        """online, stopped or silent."""
        if self.ended_at is not None:
            return "stopped"
        return "silent" if self.seen_at < timezone.now() - SILENT_AFTER else "online"


class FailedJobState(models.TextChoices):
    FAILED = "failed", "failed"
    SENT_AGAIN = "sent_again", "sent again"
    PUT_ASIDE = "put_aside", "put aside"


class FailedJob(Stateful):
    """A job that broke, or killed its worker, and how often; one row for each job and object.

    What a job refuses is in the rows that it is about; here is what nobody expected.
    """

    subject = "job"
    transitions: ClassVar[Transitions] = {
        FailedJobState.FAILED: {FailedJobState.SENT_AGAIN, FailedJobState.PUT_ASIDE},
        FailedJobState.SENT_AGAIN: {FailedJobState.FAILED},
        FailedJobState.PUT_ASIDE: {FailedJobState.FAILED},
    }

    state = models.CharField(max_length=20, choices=FailedJobState, default=FailedJobState.FAILED)
    job = models.CharField(max_length=80)
    arguments = models.JSONField(default=list)
    digest = models.CharField(max_length=64, unique=True)  # of job and arguments
    times = models.PositiveIntegerField(default=1)
    failed_at = models.DateTimeField()
    worker = models.CharField(max_length=120)
    error = models.CharField(max_length=120)  # the exception's name, or "killed"
    place = models.CharField(max_length=200, blank=True)  # file and line

    class Meta:
        ordering = ("-failed_at",)
        indexes = (models.Index(fields=["state", "failed_at"]),)

    def __str__(self) -> str:
        return f"{self.job} {' '.join(map(str, self.arguments))}".strip()

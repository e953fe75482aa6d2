"""What a person is told, how they want to be told, and which events have been told."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Event, Identified
from hub.federations.models import Federation
from hub.organisations.models import Organisation

DIGEST_HOUR = 7  # UTC


class Channel(models.TextChoices):
    INBOX = "inbox", _lazy("Inbox only")
    NOW = "now", _lazy("E-mail at once")
    DIGEST = "digest", _lazy("E-mail once a day")


class Notice(Identified):
    """What one person is told about one thing; further events about it join while it is open.

    News is open until it is read. What needs somebody is open until it is settled: done by them
    or a colleague, or not to be done any more.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notices"
    )
    kind = models.CharField(max_length=32)  # of `hub.notices.kinds`
    object_id = models.UUIDField()  # what it is about
    needs = models.BooleanField(default=False)  # somebody must do something
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")  # the newest
    count = models.PositiveIntegerField(default=1)  # of events
    at = models.DateTimeField()  # of the newest
    url = models.CharField(max_length=300)  # a path on this hub
    # Through which organisation the person is told; they see it while they act for it.
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, null=True, related_name="+"
    )
    federation = models.ForeignKey(
        Federation, on_delete=models.CASCADE, null=True, related_name="+"
    )
    read_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    channel = models.CharField(max_length=8, choices=Channel, default=Channel.INBOX)
    mail = models.ForeignKey(
        "notices.Mail", on_delete=models.SET_NULL, null=True, related_name="notices"
    )  # the letter that it is in

    class Meta:
        ordering = ("-at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=["user", "kind", "object_id", "organisation"],
                condition=models.Q(needs=True, settled_at__isnull=True)
                | models.Q(needs=False, read_at__isnull=True),
                nulls_distinct=False,
                name="one_open_notice_per_thing",
            ),
            models.CheckConstraint(
                condition=models.Q(needs=True) | models.Q(settled_at__isnull=True),
                name="news_is_not_settled",
            ),
        )
        indexes = (
            models.Index(fields=["user", "-at", "-id"], name="notices_of_a_person"),
            models.Index(
                fields=["user"], name="notices_unread", condition=models.Q(read_at__isnull=True)
            ),
            models.Index(
                fields=["kind"],
                name="notices_unsettled",
                condition=models.Q(needs=True, settled_at__isnull=True),
            ),
            models.Index(
                fields=["channel", "user"],
                name="notices_unmailed",
                condition=models.Q(mail__isnull=True, read_at__isnull=True)
                & ~models.Q(channel="inbox"),
            ),
            models.Index(fields=["created_at"], name="notices_by_age"),
        )

    def __str__(self) -> str:
        return f"{self.kind} for {self.user_id}"

    @property
    def waits(self) -> bool:
        """Whether it still needs somebody."""
        return self.needs and self.settled_at is None


class NoticeSettings(models.Model):
    """How one person wants to be told; what is not said here is as `kinds` has it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="notice_settings",
    )
    channels = models.JSONField(default=dict)  # by kind
    digest_hour = models.PositiveSmallIntegerField(default=DIGEST_HOUR)  # UTC

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(digest_hour__lt=24), name="digests_at_an_hour_of_the_day"
            ),
        )

    def __str__(self) -> str:
        return f"settings of {self.user_id}"


class ToldEvent(models.Model):
    """An event that has been told: written with its notices, so that it is told once."""

    event = models.OneToOneField(
        Event, on_delete=models.PROTECT, primary_key=True, related_name="told"
    )
    at = models.DateTimeField(db_index=True)  # the event's

    def __str__(self) -> str:
        return f"event {self.event_id}"


class Mark(models.Model):
    """Until when events have been looked at; one row, and whoever tells holds it."""

    soon_at = models.DateTimeField()  # by the look every few seconds
    surely_at = models.DateTimeField()  # by the long look back

    def __str__(self) -> str:
        return f"soon {self.soon_at}, surely {self.surely_at}"


class Occurrence(models.Model):
    """A condition that was noticed, such as an agent that fell silent at some moment; once."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=64)  # of the event that it left
    object_id = models.UUIDField()
    since = models.DateTimeField()
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "object_id", "since"], name="noticed_once_per_occurrence"
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id}"

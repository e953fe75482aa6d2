"""What every app builds on: stateful rows, the events they leave, and the outbox."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, TypeAlias
from uuid import UUID, uuid4

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy

from hub.common.actors import HUB, Actor
from hub.common.errors import IllegalTransition

Transitions: TypeAlias = Mapping[str, frozenset[str] | set[str]]


class Identified(models.Model):
    """A row with an identifier that says nothing."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True


class Event(models.Model):
    """What happened, once and for ever: who, what, from, to, when. Appended, never changed."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    kind = models.CharField(max_length=64)  # "<subject>.<what>", such as "round.closed"
    subject_id = models.UUIDField(db_index=True)
    from_state = models.CharField(max_length=20, blank=True)
    to_state = models.CharField(max_length=20, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    actor_kind = models.CharField(max_length=8)
    actor_id = models.UUIDField(null=True)
    actor_label = models.CharField(max_length=200)
    # Scopes, so that each page finds its events by one index and shows them to those who may see.
    organisation_id = models.UUIDField(null=True)
    federation_id = models.UUIDField(null=True)
    run_id = models.UUIDField(null=True)
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ("id",)
        indexes = (
            models.Index(fields=["federation_id", "id"]),
            models.Index(fields=["run_id", "id"]),
            models.Index(fields=["organisation_id", "id"]),
            models.Index(fields=["actor_id", "id"], name="events_by_actor"),
            models.Index(fields=["kind", "id"], name="events_by_kind"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id}"


class Stateful(Identified):
    """A row whose life is one table of transitions. `move_to` is the only way through it.

    The caller holds the row under `select_for_update` in a transaction. Each transition leaves
    one event row in that transaction.
    """

    transitions: ClassVar[Transitions]
    subject: ClassVar[str]  # first half of the kind of its events

    state = models.CharField(max_length=20)
    state_changed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def event_scope(self) -> dict[str, UUID | None]:
        """organisation_id, federation_id, run_id of its events; without any query."""
        return {}

    @property
    def is_final(self) -> bool:
        return not self.transitions[self.state]

    def move_to(
        self,
        state: str,
        *,
        actor: Actor = HUB,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> Event:
        """Change the state and the columns that belong to it, and leave an event.

        Raises:
            IllegalTransition: the table has no way from here to there; nothing has changed.
        """
        if state not in self.transitions[self.state]:
            raise IllegalTransition(f"{self.subject} {self.pk} cannot go {self.state} → {state}")
        before, self.state = self.state, state
        for name, value in columns.items():
            setattr(self, name, value)
        self.state_changed_at = timezone.now()
        self.save(update_fields=["state", "state_changed_at", *columns])
        return self.record(state, actor=actor, reason=reason, data=data, before=before)

    def record(
        self,
        what: str,
        *,
        actor: Actor = HUB,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
        before: str = "",
    ) -> Event:
        """Leave an event about this row; with `before` it is a transition to `what`."""
        return Event.objects.create(
            kind=f"{self.subject}.{what}",
            subject_id=self.pk,
            from_state=before,
            to_state=self.state,
            reason=reason[:500],
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_label=actor.label[:200],
            data=dict(data or {}),
            **self.event_scope(),
        )


class OutboxMessage(models.Model):
    """A background job that must be sent; written with the state that caused it."""

    id = models.BigAutoField(primary_key=True)
    job = models.CharField(max_length=80)
    arguments = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(
                fields=["id"], name="outbox_unsent", condition=models.Q(sent_at__isnull=True)
            ),
            models.Index(fields=["sent_at"]),
        )

    def __str__(self) -> str:
        return f"{self.job} {self.arguments}"


class IdempotentRequest(models.Model):
    """A request that was answered once; the same request again gets the same answer."""

    id = models.BigAutoField(primary_key=True)
    scope = models.CharField(max_length=64)  # who asked: "user:<id>" or "agent:<id>"
    key = models.CharField(max_length=128)
    request_digest = models.CharField(max_length=64)  # of method, path and body
    status = models.PositiveSmallIntegerField(null=True)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["scope", "key"], name="one_answer_per_key"),)

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class BannerLevel(models.TextChoices):
    INFO = "info", _lazy("for information")
    ATTENTION = "attention", _lazy("needs attention")
    NEGATIVE = "negative", _lazy("something is broken")


class Switchboard(models.Model):
    """What operators have set for the whole hub, in one row; `hub.common.switches` reads it."""

    THE_ONE: ClassVar[int] = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=THE_ONE)
    maintenance_since = models.DateTimeField(null=True)  # null: everybody may work
    maintenance_until = models.DateTimeField(null=True)  # as it was announced, if it was
    maintenance_note = models.CharField(max_length=300, blank=True)
    banner_text = models.CharField(max_length=300, blank=True)
    banner_level = models.CharField(
        max_length=12, choices=BannerLevel, default=BannerLevel.INFO, blank=True
    )
    banner_from = models.DateTimeField(null=True)
    banner_until = models.DateTimeField(null=True)  # null: until it is taken down
    sign_up_open = models.BooleanField(default=True)
    approves_by_itself = models.BooleanField(null=True)  # null: AUTO_APPROVE_ORGANISATIONS

    class Meta:
        verbose_name_plural = "switchboard"
        constraints = (
            models.CheckConstraint(condition=models.Q(id=1), name="one_switchboard"),
            models.CheckConstraint(
                condition=models.Q(banner_text="") | models.Q(banner_from__isnull=False),
                name="a_banner_has_a_beginning",
            ),
        )

    def __str__(self) -> str:
        return "the hub"

    @property
    def is_in_maintenance(self) -> bool:
        return self.maintenance_since is not None

    def shows_banner(self, at: datetime) -> bool:
        """Whether the banner is up at that moment."""
        if not self.banner_text or self.banner_from is None or at < self.banner_from:
            return False
        return self.banner_until is None or at < self.banner_until

    @property
    def banner_key(self) -> str:
        """By which a browser knows that its reader has put this banner away."""
        begun = self.banner_from.isoformat() if self.banner_from else ""
        return hashlib.sha256(f"{begun} {self.banner_text}".encode()).hexdigest()[:12]

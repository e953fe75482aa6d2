"""How organisations and people come in: registrations, invitations, and the mails about them.

`hub.organisations.models` names them, so that Django finds them.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Identified, Stateful, Transitions
from hub.organisations.permissions import Role


class Registration(Identified):
    """An organisation and a person who is to own it, until their address is confirmed.

    Then it becomes both and goes. Until then it takes no name and no address, so what is typed
    for somebody else ends by itself.
    """

    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    website = models.URLField(max_length=200, blank=True)
    country = models.CharField(max_length=60, blank=True)
    contact_email = models.EmailField()
    email = models.EmailField()
    person = models.CharField(max_length=120)
    password = models.CharField(max_length=128)  # hashed
    digest = models.CharField(max_length=64, unique=True)  # of the link's secret
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.name


class InvitationKind(models.TextChoices):
    PERSON = "person", _lazy("to a person")
    FEDERATION = "federation", _lazy("into a federation")
    HUB = "hub", _lazy("to the hub")


class InvitationState(models.TextChoices):
    OPEN = "open", _lazy("open")
    ACCEPTED = "accepted", _lazy("accepted")
    DECLINED = "declined", _lazy("declined")
    REVOKED = "revoked", _lazy("revoked")
    EXPIRED = "expired", _lazy("expired")


class Invitation(Stateful):
    """A place that waits for whoever has an address: in an organisation, a federation, the hub.

    The link in the mail carries a secret, of which only the digest is here.
    """

    subject = "invitation"
    transitions: ClassVar[Transitions] = {
        InvitationState.OPEN: {
            InvitationState.ACCEPTED,
            InvitationState.DECLINED,
            InvitationState.REVOKED,
            InvitationState.EXPIRED,
        },
        InvitationState.EXPIRED: {InvitationState.OPEN},
        InvitationState.ACCEPTED: set(),
        InvitationState.DECLINED: set(),
        InvitationState.REVOKED: set(),
    }

    state = models.CharField(
        max_length=20, choices=InvitationState, default=InvitationState.OPEN, db_index=True
    )
    kind = models.CharField(max_length=12, choices=InvitationKind)
    email = models.EmailField()  # in lower case
    organisation = models.ForeignKey(
        "organisations.Organisation",
        on_delete=models.PROTECT,
        null=True,
        related_name="invitations",
    )  # that invites; null: the hub
    # A higher app: only the database follows this arrow.
    federation = models.ForeignKey(
        "federations.Federation", on_delete=models.PROTECT, null=True, related_name="invitations"
    )
    standing = models.CharField(max_length=12, blank=True)  # in the federation
    role = models.CharField(max_length=12, choices=Role, blank=True)  # of a person
    custom_role = models.ForeignKey(
        "organisations.CustomRole", on_delete=models.SET_NULL, null=True, related_name="invitations"
    )
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    digest = models.CharField(max_length=64, unique=True)
    letters = models.PositiveSmallIntegerField(default=1)  # sent so far; each has its own secret
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    accepted_for = models.ForeignKey(
        "organisations.Organisation",
        on_delete=models.PROTECT,
        null=True,
        related_name="invitations_accepted",
    )  # the organisation that came in

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["kind", "organisation", "federation", "email"],
                condition=models.Q(state=InvitationState.OPEN),
                nulls_distinct=False,
                name="one_open_invitation_per_address",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    kind=InvitationKind.PERSON, organisation__isnull=False, federation__isnull=True
                )
                | models.Q(
                    kind=InvitationKind.FEDERATION,
                    organisation__isnull=False,
                    federation__isnull=False,
                )
                | models.Q(
                    kind=InvitationKind.HUB, organisation__isnull=True, federation__isnull=True
                ),
                name="an_invitation_says_whither",
            ),
        )

    def __str__(self) -> str:
        return f"{self.email}, {self.get_kind_display()}"

    def event_scope(self) -> dict[str, UUID | None]:
        return {"organisation_id": self.organisation_id, "federation_id": self.federation_id}

    @property
    def is_open(self) -> bool:
        """Whether it can be accepted now; one that is too old may not have been swept yet."""
        return self.state == InvitationState.OPEN and timezone.now() < self.expires_at

    @property
    def role_name(self) -> str:
        """Of an invited person. Needs `custom_role`."""
        return self.custom_role.name if self.custom_role else str(Role(self.role).label)


class LetterKind(models.TextChoices):
    CONFIRM = "confirm", _lazy("confirm a registration")
    KNOWN = "known", _lazy("the address has an account")
    INVITATION = "invitation", _lazy("an invitation")
    DECISION = "decision", _lazy("an operator has decided")


class Letter(Identified):
    """A mail to be sent, written with what caused it; no secret is in it."""

    kind = models.CharField(max_length=12, choices=LetterKind)
    email = models.EmailField()
    about = models.UUIDField(null=True)  # of a registration, an invitation or an organisation
    number = models.PositiveSmallIntegerField(default=0)  # which of an invitation's letters
    # Of who caused it; whoever has an account with this address may have chosen another.
    language = models.CharField(max_length=10, blank=True, default="", db_default="")
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (
            models.Index(
                fields=["created_at"],
                name="letters_unsent",
                condition=models.Q(sent_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to {self.email}"

"""The texts that federations were and are under, and who signed which."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from hub.common.models import Identified
from hub.federations.models.federations import Federation, Participation


class CharterVersion(Identified):
    """One text of a federation's charter. The newest is in force, and all of them stay."""

    federation = models.ForeignKey(
        Federation, on_delete=models.PROTECT, related_name="charter_versions"
    )
    number = models.PositiveIntegerField()  # within the federation, from 1
    text = models.TextField(max_length=50_000)
    digest = models.CharField(max_length=64)  # SHA-256 of the text
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )  # who founded or proposed; null: nobody is on record
    proposal = models.UUIDField(null=True)  # that the members decided on; null: as founded

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=["federation", "number"], name="charter_numbers_differ"),
        )

    def __str__(self) -> str:
        return f"{self.federation} · version {self.number}"


class Signature(models.Model):
    """An organisation's word that it keeps to a text: who gave it, and when."""

    id = models.BigAutoField(primary_key=True)
    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="signatures"
    )
    version = models.ForeignKey(CharterVersion, on_delete=models.PROTECT, related_name="signatures")
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    signed_at = models.DateTimeField()
    # Of the base model's licence that was accepted in the same act, or before; empty: of none.
    licence_digest = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("signed_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=["participation", "version"], name="one_signature_per_text"
            ),
        )

    def __str__(self) -> str:
        return f"{self.participation} under version {self.version.number}"

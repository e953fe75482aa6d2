"""The log of a federation: entries in their order, the tree over them, and who has signed it.

The database gives every entry its place when its transaction commits (migration 0003, ADR 0020);
nothing here is written but through `services`. A ledger bears the identifier of its federation.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _lazy

HASH_BYTES = 32
KEY_LENGTH, TYPE_LENGTH, PAYLOAD_BYTES = 200, 40, 2**20


class EntryType(models.TextChoices):
    """What an entry tells. The column takes any such word: a newcomer needs no migration."""

    FEDERATION_FOUNDED = "federation.founded", _lazy("federation founded")
    CHARTER_PUBLISHED = "charter.published", _lazy("charter published")
    POLICY_CHANGED = "policy.changed", _lazy("policy changed")
    CHARTER_SIGNED = "charter.signed", _lazy("charter signed")
    PARTICIPATION_ADMITTED = "participation.admitted", _lazy("participation admitted")
    PARTICIPATION_LEFT = "participation.left", _lazy("participation ended by itself")
    PARTICIPATION_EXPELLED = "participation.expelled", _lazy("participation ended by others")
    PARTICIPATION_SUSPENDED = "participation.suspended", _lazy("participation suspended")
    PARTICIPATION_RESTORED = "participation.restored", _lazy("participation restored")
    LEAD_CHANGED = "lead.changed", _lazy("lead handed over")
    FEDERATION_DISSOLVED = "federation.dissolved", _lazy("federation dissolved")
    KEY_ENROLLED = "key.enrolled", _lazy("key enrolled")
    KEY_ROTATED = "key.rotated", _lazy("key rotated")
    KEY_REVOKED = "key.revoked", _lazy("key revoked")
    DATA_DECLARED = "data.declared", _lazy("data declared")
    RUN_STARTED = "run.started", _lazy("run started")
    ROUND_OPENED = "round.opened", _lazy("round opened")
    UPDATE_COMMITTED = "update.committed", _lazy("update committed")
    UPDATE_SUBMITTED = "update.submitted", _lazy("update submitted")
    UPDATE_JUDGED = "update.judged", _lazy("update judged")
    ROUND_CLOSED = "round.closed", _lazy("round closed")
    ROUND_FAILED = "round.failed", _lazy("round failed")
    VERSION_PUBLISHED = "version.published", _lazy("version published")
    EVALUATION_RECORDED = "evaluation.recorded", _lazy("evaluation recorded")
    RELEASE_DECIDED = "release.decided", _lazy("release decided")
    PROPOSAL_MADE = "proposal.made", _lazy("proposal made")
    VOTE_CAST = "vote.cast", _lazy("vote cast")
    PROPOSAL_DECIDED = "proposal.decided", _lazy("proposal decided")
    CASE_OPENED = "case.opened", _lazy("case opened")
    CASE_DECIDED = "case.decided", _lazy("case decided")
    VALUATION_RECORDED = "valuation.recorded", _lazy("valuation recorded")
    REWARD_GRANTED = "reward.granted", _lazy("reward granted")
    REWARD_RELEASED = "reward.released", _lazy("reward released")
    CORRECTION = "correction", _lazy("correction")


class Entry(models.Model):
    """One act that counts. `position` counts from 0 in its ledger, without a gap.

    What the database sets stays null until the transaction commits, or says `settle`.
    """

    id = models.BigAutoField(primary_key=True)
    ledger = models.UUIDField()
    key = models.CharField(max_length=KEY_LENGTH)  # of the act: told twice, it is one entry
    type = models.CharField(max_length=TYPE_LENGTH)
    payload = models.TextField()  # a JSON object as RFC 8785 writes it
    position = models.BigIntegerField(null=True)
    at = models.DateTimeField(null=True)
    prev = models.BinaryField(null=True)  # the leaf hash of the entry before, or zeros
    text = models.TextField(null=True)  # what is hashed: RFC 8785
    leaf = models.BinaryField(null=True)  # SHA-256 of a zero byte and `text`

    class Meta:
        ordering = ("position",)
        verbose_name_plural = "entries"
        constraints = (
            models.UniqueConstraint(fields=["ledger", "key"], name="one_entry_per_key"),
            models.UniqueConstraint(fields=["ledger", "position"], name="one_entry_per_position"),
            models.CheckConstraint(
                condition=models.Q(key__regex=r"^[A-Za-z0-9:._-]+$")
                & models.Q(type__regex=r"^[a-z._]+$"),
                name="entry_words_are_plain",
            ),
        )
        indexes = (
            models.Index(fields=["ledger", "type", "position"], name="entries_by_type"),
            models.Index(
                fields=["ledger"],
                name="entries_without_place",
                condition=models.Q(position__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.position} {self.type} {self.key}"


class Head(models.Model):
    """How far a ledger has come. Its lock is the last that a transaction takes."""

    ledger = models.UUIDField(primary_key=True)
    size = models.BigIntegerField(default=0)
    last = models.BinaryField()  # the leaf hash of the newest entry, or zeros
    at = models.DateTimeField(null=True)
    stopped = models.CharField(max_length=40, blank=True)  # why it takes no entries, as a code
    stopped_reason = models.CharField(max_length=500, blank=True)
    stopped_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.ledger} {self.size}"


class Node(models.Model):
    """The hash of a perfect subtree: of the 2**level entries from index * 2**level, level ≥ 1."""

    pk = models.CompositePrimaryKey("ledger", "level", "index")
    ledger = models.UUIDField()
    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.ledger} {self.level}/{self.index}"


class Checkpoint(models.Model):
    """The root of a ledger's first `size` entries, signed: a C2SP tlog-checkpoint."""

    id = models.BigAutoField(primary_key=True)
    ledger = models.UUIDField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("size",)
        constraints = (
            models.UniqueConstraint(fields=["ledger", "size"], name="one_checkpoint_per_size"),
        )

    def __str__(self) -> str:
        return f"{self.ledger} {self.size}"


class Cosignature(models.Model):
    """An agent's word that it has seen a checkpoint, and that it extends the last it had seen."""

    id = models.BigAutoField(primary_key=True)
    checkpoint = models.ForeignKey(
        Checkpoint, on_delete=models.PROTECT, related_name="cosignatures"
    )
    participation = models.UUIDField()
    agent = models.UUIDField()
    key_id = models.CharField(max_length=64)
    line = models.TextField()  # as it stands in the note
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=["checkpoint", "key_id"], name="one_cosignature_per_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.checkpoint_id} {self.key_id}"

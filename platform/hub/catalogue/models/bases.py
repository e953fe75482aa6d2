"""Pre-trained models and their files."""

from __future__ import annotations

import hashlib

from django.db import models

from hub.catalogue.models.artifacts import Artifact
from hub.common.models import Identified
from hub.organisations.models import Organisation


class BaseModel(Identified):
    """A pre-trained model that federations start from; its files never change."""

    slug = models.SlugField(max_length=80, unique=True)
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=1000, blank=True)
    licence = models.CharField(max_length=60)  # SPDX identifier
    licence_text = models.TextField(blank=True, max_length=200_000)
    must_accept = models.BooleanField(default=False)  # each organisation, before it gets a file
    brought_by = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, related_name="base_models"
    )  # null: by an operator
    source = models.CharField(max_length=300, blank=True)
    architecture = models.CharField(max_length=80)
    parameters = models.BigIntegerField()
    revision = models.CharField(max_length=40, unique=True)  # digest over the list of files

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def repo(self) -> str:
        return f"base/{self.slug}"

    @property
    def licence_digest(self) -> str:
        """Of the text that is accepted."""
        return hashlib.sha256(self.licence_text.encode()).hexdigest()


class BaseModelFile(models.Model):
    """One file of a base model."""

    id = models.BigAutoField(primary_key=True)
    base_model = models.ForeignKey(BaseModel, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200)
    artifact = models.ForeignKey(Artifact, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("path",)
        constraints = (
            models.UniqueConstraint(fields=["base_model", "path"], name="one_base_file_per_path"),
        )

    def __str__(self) -> str:
        return self.path

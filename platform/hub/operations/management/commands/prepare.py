"""`manage.py prepare`: all that must be there before the hub's processes start."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from django.core.management import call_command
from django.core.management.base import BaseCommand

from hub.catalogue.blobs.buckets import S3Store
from hub.catalogue.blobs.storage import store
from hub.common.checks import TAG

MISSING = "404"


class Command(BaseCommand):
    help = "Check the settings, migrate the database, and make the bucket where there is none."

    def handle(self, *_: Any, **__: Any) -> None:
        call_command("check", tags=[TAG], databases=["default"])
        call_command("migrate", interactive=False)
        blobs = store()
        if isinstance(blobs, S3Store) and self._lacks(blobs):
            blobs.client.create_bucket(Bucket=blobs.bucket)
            self.stdout.write(f"The bucket {blobs.bucket} is made.")

    def _lacks(self, blobs: S3Store) -> bool:
        try:
            blobs.client.head_bucket(Bucket=blobs.bucket)
        except ClientError as refusal:
            if refusal.response["Error"]["Code"] != MISSING:
                raise
            return True
        return False

"""The charters of before become first versions, and the signatures under them are kept as rows."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import migrations

BATCH = 500


def begin(apps: Any, _: object) -> None:
    for federation in apps.get_model("federations", "Federation").objects.iterator(BATCH):
        _begin(apps, federation)


def _begin(apps: Any, federation: Any) -> None:
    places = list(federation.participations.order_by("created_at"))
    lead = next((place for place in places if place.standing == "lead"), None)
    digest = hashlib.sha256(federation.charter.encode()).hexdigest()
    version = apps.get_model("federations", "CharterVersion").objects.create(
        federation=federation,
        number=1,
        text=federation.charter,
        digest=digest,
        made_by_id=lead and lead.signed_by_id,
    )
    type(version).objects.filter(pk=version.pk).update(created_at=federation.created_at)
    signed = [place for place in places if place.charter_digest == digest]
    signatures = apps.get_model("federations", "Signature").objects
    signatures.bulk_create(
        signatures.model(
            participation=place,
            version=version,
            signed_by_id=place.signed_by_id,
            signed_at=place.signed_at,
        )
        for place in signed
    )
    federation.participations.exclude(charter_digest=digest).update(charter_number=0)


def end(apps: Any, _: object) -> None:
    """What is in force stays in the columns of before; later texts' forerunners are lost."""
    apps.get_model("federations", "Signature").objects.all().delete()
    apps.get_model("federations", "CharterVersion").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("federations", "0007_charters")]

    operations = [migrations.RunPython(begin, end)]

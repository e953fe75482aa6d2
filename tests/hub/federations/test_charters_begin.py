"""Charters and signatures of before, carried over and back."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps

from hub.federations.models import CharterVersion, Signature
from tests.factories.federations import ParticipationFactory

pytestmark = pytest.mark.django_db

MIGRATION = import_module("hub.federations.migrations.0008_charters_begin")


def test_what_was_signed_before_is_kept_as_rows_and_goes_back(ada, blaise, federation):
    other = ParticipationFactory(federation=federation, charter_digest="0" * 64)
    before = (federation.charter, sorted(federation.participations.values_list("signed_at")))
    MIGRATION.end(apps, None)
    assert not CharterVersion.objects.exists()
    assert not Signature.objects.exists()
    MIGRATION.begin(apps, None)
    version = CharterVersion.objects.get()
    assert (version.number, version.text) == (1, federation.charter)
    assert version.digest == federation.charter_digest
    assert version.created_at == federation.created_at
    assert version.made_by == ada.user
    kept = {(one.participation.organisation, one.signed_by) for one in Signature.objects.all()}
    assert kept == {(ada.organisation, ada.user), (blaise.organisation, blaise.user)}
    other.refresh_from_db()
    assert other.charter_number == 0  # it signed another text, so it has still to sign
    MIGRATION.end(apps, None)
    federation.refresh_from_db()
    after = (federation.charter, sorted(federation.participations.values_list("signed_at")))
    assert after == before

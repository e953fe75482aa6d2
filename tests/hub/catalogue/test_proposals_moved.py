"""Releases and rollbacks moved to the table of all proposals, and can go back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection

from hub.catalogue.versions.releases import propose_release, release_version
from hub.federations.models import Proposal
from hub.federations.proposals.services import vote, withdraw
from tests.factories.catalogue import VersionFactory

pytestmark = pytest.mark.django_db(transaction=True)
KEPT = ("kind", "state", "terms", "digest", "reason", "answer", "result", "is_led", "decided_by_id")


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"


@pytest.fixture
def former() -> Iterator[None]:
    """Afterwards the database is as the others expect it, come what may."""
    yield
    call_command("migrate", "catalogue", verbosity=0)


def rows() -> dict[object, tuple[object, ...]]:
    found = Proposal.objects.order_by("created_at")
    return {one.pk: tuple(getattr(one, name) for name in KEPT) for one in found}


def test_proposals_go_back_and_forth_unchanged(federation, ada, blaise, former) -> None:
    first, second, third = (VersionFactory(federation=federation) for _ in range(3))
    release_version(user=ada.user, version_id=first.pk)
    release_version(user=ada.user, version_id=second.pk)
    release_version(user=ada.user, version_id=first.pk, reason="worse for the smallest")
    refused = propose_release(user=blaise.user, version_id=third.pk, reason="now")
    vote(user=ada.user, proposal_id=refused.pk, choice="no")
    taken_back = propose_release(user=blaise.user, version_id=third.pk, reason="now")
    withdraw(user=blaise.user, proposal_id=taken_back.pk, reason="a mistake")
    propose_release(user=blaise.user, version_id=third.pk, reason="measured")
    before = rows()
    call_command("migrate", "catalogue", "0012", verbosity=0)
    assert not Proposal.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT kind, proposal.state, number FROM catalogue_proposal AS proposal"
            " LEFT JOIN catalogue_modelversion AS version ON version.id = proposal.replaced_id"
            " ORDER BY proposal.created_at"
        )
        assert cursor.fetchall() == [
            ("release", "accepted", None),
            ("release", "accepted", 1),
            ("rollback", "accepted", 2),
            ("release", "refused", None),
            ("release", "withdrawn", None),
            ("release", "open", None),
        ]
    call_command("migrate", "catalogue", verbosity=0)
    assert rows() == before
    opened = Proposal.objects.get(state="open")
    lead = federation.participations.get(organisation=ada.organisation)
    assert opened.electorate == [lead.pk]
    assert vote(user=ada.user, proposal_id=opened.pk, choice="yes").state == "accepted"

"""Names of a federation's own: given, moved and removed, and what a revision means with them."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from hub.catalogue.errors import AliasRefused
from hub.catalogue.hf.repositories import RevisionNotFound, find_snapshot
from hub.catalogue.models import Alias
from hub.catalogue.versions import aliases
from hub.catalogue.versions.aliases import (
    aliases_of,
    give_alias,
    history_of,
    remove_alias,
    version_at,
)
from hub.catalogue.versions.releases import release_version
from hub.common.errors import Forbidden, NotFound
from hub.common.sentences import sentence
from tests.factories.catalogue import VersionFactory
from tests.factories.federations import FederationFactory

TAKEN = ("main", "latest", "released", "base", "head", "v3", "v0", "v007", "a" * 40, "0" * 40)
UNFIT = ("", "Pilot", "-a", "a-", "a--b", "a..b", "a/b", "a b", "ward٣", "z" * 41, "a\n", ".lock")

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"


def test_a_name_means_one_version_and_moves(federation, ada):
    first, second = (VersionFactory(federation=federation) for _ in range(2))
    give_alias(user=ada.user, version_id=first.pk, name="pilot-ward-3")
    assert version_at(federation, "pilot-ward-3") == first
    for _ in range(2):
        give_alias(user=ada.user, version_id=second.pk, name="pilot-ward-3")
    assert version_at(federation, "pilot-ward-3") == second
    snapshot = find_snapshot(ada.user, federation.slug, "adapter", "pilot-ward-3")
    assert snapshot.commit == second.revision
    told = [sentence(event) for event in history_of(federation)]
    assert told == [
        f"{ada.user} moved the name 'pilot-ward-3' to version 2, from version 1",
        f"{ada.user} named version 1 'pilot-ward-3'",
    ]


def test_a_removed_name_means_nothing_and_may_be_given_again(federation, ada):
    version = VersionFactory(federation=federation)
    give_alias(user=ada.user, version_id=version.pk, name="pilot")
    for _ in range(2):
        remove_alias(user=ada.user, federation_id=federation.pk, name="pilot")
    assert version_at(federation, "pilot") is None
    assert not aliases_of(federation)
    with pytest.raises(RevisionNotFound):
        find_snapshot(ada.user, federation.slug, "adapter", "pilot")
    give_alias(user=ada.user, version_id=version.pk, name="pilot")
    assert version_at(federation, "pilot") == version
    kinds = [event.kind for event in history_of(federation)]
    assert kinds == ["alias.given", "alias.removed", "alias.given"]


@pytest.mark.parametrize("name", [*TAKEN, *UNFIT])
def test_names_that_mean_something_else_or_are_not_plain_are_refused(federation, ada, name):
    version = VersionFactory(federation=federation)
    with pytest.raises(AliasRefused):
        give_alias(user=ada.user, version_id=version.pk, name=name)
    assert not Alias.objects.exists()


def test_the_database_refuses_what_is_not_plain_too(federation):
    version = VersionFactory(federation=federation)
    with pytest.raises(IntegrityError), transaction.atomic():
        Alias.objects.create(federation=federation, name="a b", version=version)


def test_a_federation_has_so_many_names_and_no_more(federation, ada, monkeypatch):
    monkeypatch.setattr(aliases, "MOST", 2)
    first, second = (VersionFactory(federation=federation) for _ in range(2))
    for name in ("one", "two"):
        give_alias(user=ada.user, version_id=first.pk, name=name)
    with pytest.raises(AliasRefused):
        give_alias(user=ada.user, version_id=first.pk, name="three")
    give_alias(user=ada.user, version_id=second.pk, name="two")


def test_only_the_lead_names_and_strangers_see_nothing(federation, ada, blaise, carol):
    version = VersionFactory(federation=federation)
    give_alias(user=ada.user, version_id=version.pk, name="pilot")
    for person, refusal in ((blaise, Forbidden), (carol, NotFound)):
        with pytest.raises(refusal):
            give_alias(user=person.user, version_id=version.pk, name="pilot")
        with pytest.raises(refusal):
            remove_alias(user=person.user, federation_id=federation.pk, name="pilot")
    with pytest.raises(NotFound):
        remove_alias(user=ada.user, federation_id=federation.pk, name="nobody")


def test_federations_have_names_of_their_own(federation, ada):
    other = FederationFactory(lead=ada.organisation)
    for place in (federation, other):
        version = VersionFactory(federation=place)
        give_alias(user=ada.user, version_id=version.pk, name="pilot")
        assert version_at(place, "pilot") == version


def test_standing_names_follow_the_line(federation, ada):
    first, second = (VersionFactory(federation=federation) for _ in range(2))
    assert version_at(federation, "main") == version_at(federation, "latest") == second
    assert version_at(federation, "released") is None
    release_version(user=ada.user, version_id=first.pk)
    assert version_at(federation, "main") == version_at(federation, "released") == first
    for unknown in ("head", "v3", "v01", "0" * 40, "nobody"):
        assert version_at(federation, unknown) is None

"""Pages of a line: origins, decisions, names and lineage, for whom they are meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import reverse

from hub.catalogue.models import Alias, ModelVersion, VersionState
from hub.catalogue.versions.aliases import give_alias
from hub.catalogue.versions.drawing import ROW, drawn
from hub.catalogue.versions.lineage import chains_of, lineage_of, page_with, runs_of
from hub.catalogue.versions.releases import propose_release, release_version
from hub.federations.models import Proposal
from hub.runs.models import RunState
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import VersionFactory
from tests.factories.federations import FederationFactory
from tests.factories.organisations import MembershipFactory
from tests.factories.runs import RoundFactory, RunFactory
from tests.hub.catalogue.test_pages import INLINE, MOST_QUERIES
from tests.hub.runs.world import World, make_world
from tests.pages import browser, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None, tmp_path: Path, settings) -> World:
    """A federation that has trained two rounds, measured after each."""
    settings.BLOB_FOLDER = tmp_path / "blobs"
    made = make_world(tmp_path)
    run = made.start_run()
    for _ in range(2):
        made.play_round(run)
    return made


def chain(federation, *, rounds: int, parent: ModelVersion | None = None) -> list[ModelVersion]:
    """The versions of a run that has been through so many rounds."""
    run = RunFactory(federation=federation, parent_version=parent, state=RunState.COMPLETED)
    made = []
    for _ in range(rounds):
        version = VersionFactory(federation=federation, parent=parent)
        RoundFactory(run=run, version=version, state="closed")
        made.append(version)
        parent = version
    return made


def addresses(federation, version: ModelVersion) -> list[str]:
    return [
        reverse("catalogue:origins", args=[version.pk]),
        reverse("catalogue:version_decisions", args=[version.pk]),
        reverse("catalogue:decisions", args=[federation.slug]),
        reverse("catalogue:lineage", args=[federation.slug]),
    ]


def test_pages_take_few_queries_and_are_for_the_federation_alone(
    world: World, django_assert_max_num_queries
) -> None:
    older, newer = world.federation.versions.order_by("number")
    release_version(user=world.lead, version_id=older.pk)
    propose_release(user=world.lead, version_id=newer.pk, reason="better")
    give_alias(user=world.lead, version_id=newer.pk, name="pilot")
    line = reverse("catalogue:versions", args=[world.federation.slug])
    client = browser(world.lead)
    for url in [*addresses(world.federation, newer), line, f"/versions/{newer.pk}"]:
        with django_assert_max_num_queries(MOST_QUERIES):
            page = client.get(url)
        assert not INLINE.search(words_of(page)), url
        assert browser(UserFactory()).get(url).status_code == 404
        assert browser().get(url).status_code == 302


def words_of(page) -> str:
    assert page.status_code == 200
    return page.content.decode()


def test_a_version_says_everything_it_was_made_of(world: World) -> None:
    version = world.federation.versions.get(number=2)
    page = words_of(browser(world.lead).get(reverse("catalogue:origins", args=[version.pk])))
    said = [version.plan_digest, version.adapter_id, version.base_model.revision, version.revision]
    for one in version.contributors:
        said += [one["digest"], one["statement"]]
    said += [file.artifact_id for file in version.files]
    for digest in said:
        assert digest in page
    assert "stack_svd" in page
    assert "Differential privacy was not used" in page
    assert len({one["statement"] for one in version.contributors}) == 3


def test_a_member_proposes_and_the_lead_votes(world: World) -> None:
    version = world.federation.versions.get(number=2)
    member = MembershipFactory(organisation=world.sites[1].agent.organisation).user
    decisions = reverse("catalogue:version_decisions", args=[version.pk])
    propose = reverse("catalogue:propose", args=[version.pk])
    assert "Propose its release…" in words(browser(member).get(decisions))
    browser(member).post(propose, {"reason": ""})
    assert not Proposal.objects.exists()
    browser(member).post(propose, {"reason": "best so far"})
    shown = words(browser(member).get(decisions))
    assert "best so far" in shown
    assert "1 proposal to be decided" in words(
        browser(world.lead).get(reverse("catalogue:versions", args=[world.federation.slug]))
    )
    vote = reverse("federations:vote", args=[Proposal.objects.get().pk])
    assert browser(member).post(vote, {"choice": "yes"}).status_code == 403
    assert browser(UserFactory()).post(vote, {"choice": "yes"}).status_code == 404
    browser(world.lead).post(vote, {"choice": "perhaps"})
    assert Proposal.objects.get().is_open
    browser(world.lead).post(vote, {"choice": "yes"})
    version.refresh_from_db()
    assert version.state == VersionState.RELEASED


def test_names_are_given_moved_and_removed_on_pages(world: World) -> None:
    older, newer = world.federation.versions.order_by("number")
    client, slug = browser(world.lead), world.federation.slug
    for version in (older, newer):
        client.post(reverse("catalogue:give_name", args=[version.pk]), {"name": "pilot-ward-3"})
    refused = client.post(
        reverse("catalogue:give_name", args=[newer.pk]), {"name": "main"}, follow=True
    )
    assert "Main means something else already" in words(refused)
    page = words(client.get(reverse("catalogue:decisions", args=[slug])))
    assert "pilot-ward-3 Version 2" in page
    assert "moved the name 'pilot-ward-3' to version 2, from version 1" in page
    assert "pilot-ward-3" in words(client.get(reverse("catalogue:versions", args=[slug])))
    client.post(reverse("catalogue:remove_name", args=[slug]), {"name": "pilot-ward-3"})
    assert Alias.objects.get().state == "removed"


def test_the_lineage_shows_runs_forks_and_rollbacks(federation, ada, settings, tmp_path) -> None:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    first = chain(federation, rounds=6)
    left, right = (chain(federation, rounds=2, parent=first[2]) for _ in range(2))
    release_version(user=ada.user, version_id=first[4].pk)
    release_version(user=ada.user, version_id=left[1].pk)
    release_version(user=ada.user, version_id=first[4].pk, reason="worse for the smallest")
    found = lineage_of(federation, list(chains_of(federation, runs_of(federation))))
    assert [node.number for node in found.nodes] == [10, 9, 8, 7, 6, 5, 3, 1]
    begun = {strand.nodes[0].number: strand.begins_at for strand in found.strands}
    assert begun[9] == begun[7]
    assert begun[9].number == 3
    assert begun[1] is None
    (back,) = found.rollbacks
    assert (back.start.number, back.end.number) == (8, 5)
    strand = next(strand for strand in found.strands if strand.begins_at is None)
    assert [(node.number, hidden) for node, hidden in strand.gaps] == [(3, 1), (5, 1)]
    drawing = drawn(found)
    xs = {dot.node.number: dot.x for dot in drawing.dots}
    assert len({xs[10], xs[8], xs[6]}) == 3
    assert len({dot.y for dot in drawing.dots} | {gap.y for gap in drawing.gaps}) == 10
    assert drawing.height == 10 * ROW
    page = words_of(browser(ada.user).get(reverse("catalogue:lineage", args=[federation.slug])))
    for node in found.nodes:
        assert page.count(f'href="/versions/{node.id}"') >= 2
    for strand in found.strands:
        assert f'href="/runs/{strand.run}"' in page
    assert "Rolled back from version 8 to version 5: worse for the smallest" in page
    assert right[1].number == 10


def test_runs_one_after_the_other_share_a_lane(federation, settings, tmp_path) -> None:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    parent = None
    for _ in range(4):
        parent = chain(federation, rounds=2, parent=parent)[-1]
    drawing = drawn(lineage_of(federation, list(chains_of(federation, runs_of(federation)))))
    assert len({dot.x for dot in drawing.dots}) <= 2
    assert all("NaN" not in edge.path for edge in drawing.edges)


def test_the_page_of_a_version_is_found(federation, monkeypatch, settings, tmp_path) -> None:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    monkeypatch.setattr("hub.catalogue.versions.lineage.CHAINS_SHOWN", 2)
    for _ in range(5):
        chain(federation, rounds=2)
    assert [page_with(federation, number) for number in range(1, 11)] == [
        *[3, 3],
        *[2, 2, 2, 2],
        *[1, 1, 1, 1],
    ]


def test_what_people_wrote_is_text(ada, settings, tmp_path) -> None:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    federation = FederationFactory(lead=ada.organisation, name="<script>alert(1)</script>")
    version = chain(federation, rounds=1)[0]
    version.round.run.name = "<script>alert(2)</script>"
    version.round.run.save()
    propose_release(user=ada.user, version_id=version.pk, reason="<script>alert(3)</script>")
    for url in addresses(federation, version):
        page = words_of(browser(ada.user).get(url))
        assert not re.search(r"<script>alert", page), url

"""Pages of a version have one head, show every commit, and say what holds a release up."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from django.urls import reverse

from hub.catalogue.cards.markup import table
from hub.catalogue.evaluation.probes import add_probe
from hub.catalogue.models import CommitReason, ModelVersion
from hub.catalogue.pages.cards import as_html
from hub.catalogue.versions.commits import add_commit
from hub.common.text import isolated
from tests.factories.catalogue import ArtifactFactory, VersionFactory
from tests.hub.runs.test_gates import HARM, played, version_of
from tests.hub.runs.world import World, make_world
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

MARKED = re.compile(r'aria-current="(?:true|page)"[^>]*>([^<]+)<')


@pytest.fixture(autouse=True)
def folders(settings, tmp_path: Path) -> None:
    settings.BLOB_FOLDER = tmp_path / "blobs"


@pytest.fixture
def version(federation) -> ModelVersion:
    """Published with a card, then described anew."""
    made = VersionFactory(federation=federation, files={"README.md": b"first words"})
    files = {file.path: file.artifact for file in made.files}
    files["README.md"] = ArtifactFactory(content=b"later words")
    add_commit(version=made, files=files, reason=CommitReason.DESCRIBED)
    return made


def marked(response) -> list[str]:
    """What says that the reader is there; the navigation is on the page twice, for phones.

    The language that pages speak is marked, too, in the footer.
    """
    page = response.content.decode().partition("<footer")[0]
    return list(dict.fromkeys(one.strip() for one in MARKED.findall(page)))


def page_of(version: ModelVersion, name: str = "version") -> str:
    return reverse(f"catalogue:{name}", args=[version.pk])


def test_a_version_shows_its_newest_commit_and_links_the_earlier_ones(ada, version) -> None:
    newest, first = version.commits.order_by("-number")
    page = browser(ada.user).get(page_of(version)).content.decode()
    assert version.files.get(path="README.md").artifact_id in page
    assert newest.revision in page
    assert f'href="{page_of(version)}?commit={first.number}#files"' in page
    assert 'revision="v1"' in words(browser(ada.user).get(page_of(version)))
    assert newest.revision in browser(ada.user).get(page_of(version, "origins")).content.decode()


def test_an_earlier_commit_is_shown_with_its_own_files_and_lines(ada, version) -> None:
    client, first = browser(ada.user), version.commits.get(number=1)
    response = client.get(page_of(version), {"commit": "1"})
    page, text = response.content.decode(), words(response)
    assert first.files.get(path="README.md").artifact_id in page
    assert version.files.get(path="README.md").artifact_id not in page
    assert f'revision="{first.revision}"' in text
    assert "at an earlier commit" in text
    file = reverse("catalogue:download", args=[version.pk, "README.md"])
    assert f'href="{file}?commit=1"' in page
    with closing(client.get(file, {"commit": "1"})) as answer:
        assert answer.headers["Content-Length"] == str(len(b"first words"))


@pytest.mark.parametrize("asked", ["3", "0", "-1", "x", "", "٣", "9" * 40])
def test_a_commit_that_there_is_not_is_not_found(ada, version, asked: str) -> None:
    for url in (page_of(version), reverse("catalogue:download", args=[version.pk, "README.md"])):
        assert browser(ada.user).get(url, {"commit": asked}).status_code == 404


@pytest.mark.parametrize(
    ("name", "tab"),
    [
        ("version", "What it can do"),
        ("evaluation", "Evaluation"),
        ("origins", "Where it comes from"),
        ("version_decisions", "Decisions"),
        ("card", "Card, check, take"),
        ("try", "Try it"),
    ],
)
def test_every_page_of_a_version_has_its_head_and_is_marked(
    ada, version, name: str, tab: str, django_assert_max_num_queries
) -> None:
    client = browser(ada.user)
    with django_assert_max_num_queries(10):
        response = client.get(page_of(version, name))
    assert f"Models {version.federation.name} Versions Version 1 candidate" in words(response)
    assert marked(response) == ["Models", tab]


def test_a_page_that_stands_elsewhere_than_its_app_is_marked_there(ada, federation) -> None:
    places = {
        reverse("runs:compare_versions", args=[federation.slug]): "Models",
        reverse("catalogue:probes", args=[federation.slug]): "Federations",
        reverse("catalogue:shared_storage", args=[federation.slug]): "Federations",
        reverse("catalogue:storage", args=[ada.organisation.slug]): "Organisations",
    }
    for url, place in places.items():
        assert marked(browser(ada.user).get(url)) == [place], url


def test_who_may_release_is_told_that_a_gate_holds_it_up(tmp_path: Path) -> None:
    world: World = make_world(tmp_path)
    page = words(browser(world.lead).get(page_of(version_of(played(world, *HARM)))))
    assert "A gate before the release is not passed." in page
    assert "Each organisation, beside the release" in page


def test_a_card_styles_nothing_and_its_tables_are_reached_by_keyboard(version) -> None:
    text = table(["organisation", "examples"], [["Ada", "7"]], numbers=1).encode()
    add_commit(
        version=version,
        files={"README.md": ArtifactFactory(content=text)},
        reason=CommitReason.DESCRIBED,
    )
    html = as_html(version.files.get(path="README.md"))
    assert '<table tabindex="0">' in html
    assert "<td>7</td>" in html
    assert "style=" not in html


def test_a_name_from_the_right_does_not_turn_the_figures_beside_it() -> None:
    assert isolated("Carol Clinic") == "Carol Clinic"
    assert isolated("東京医科歯科大学") == "東京医科歯科大学"
    assert isolated("مستشفى الأمل") == "\u2068مستشفى الأمل\u2069"


def test_of_many_labels_of_a_probe_set_the_commonest_are_told(ada, federation) -> None:
    labels = [f"label-{number:02}" for number in range(10) for _ in range(10 - number)]
    rows = [f'{{"text": "t{place}", "label": "{label}"}}' for place, label in enumerate(labels)]
    add_probe(
        user=ada.user,
        federation_id=federation.pk,
        content="\n".join(rows).encode(),
        statement="ours",
        licence="CC0-1.0",
    )
    page = words(browser(ada.user).get(reverse("catalogue:probes", args=[federation.slug])))
    assert "10: label-00 (10), label-01 (9)" in page
    assert "label-07 (3) and others" in page
    assert "label-08" not in page

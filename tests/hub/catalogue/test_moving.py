"""A version goes elsewhere: as an archive, as a folder, and to another hub."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from zipfile import ZipFile

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from huggingface_hub import close_session

from hub.catalogue import errors
from hub.catalogue.cards.archives import packed
from hub.catalogue.cards.pushes import (
    LONGEST,
    MOST_ATTEMPTS,
    begin_push,
    give_up_push,
    push_version,
)
from hub.catalogue.models import Push
from hub.catalogue.versions.commits import newest_commit
from hub.common.errors import DependencyDown, Forbidden, NotFound
from hub.common.models import Event, IdempotentRequest, OutboxMessage
from hub.dispatch import Job
from hub.organisations.models import Role
from hub.runs.services.reconciler import _unpushed
from jobs.pushing import push
from tests.factories.catalogue import VersionFactory
from tests.factories.organisations import MembershipFactory
from tests.hub.catalogue.other_hub import other_hub
from tests.pages import browser, words

pytestmark = [
    pytest.mark.django_db,
    # The client uses its HTTP library in a way that is going out of use.
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]
CARD = b"""---
license: mit
---

# Card

## On <script>alert(1)</script>

\\[x\\](javascript:alert(1)) ![i](http://elsewhere.example/p.png) [go](javascript:alert(2))
"""
FILES = {"README.md": CARD, "deep/labels.json": b"[]"}


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def version(federation):
    return VersionFactory(federation=federation, files=FILES)


@pytest.fixture
def elsewhere(settings):
    with other_hub() as hub:
        settings.PUSH_ENDPOINTS = [hub.url]
        yield hub
    close_session()


def asked(person, version, hub, **changes):
    said = {"endpoint": hub.url, "repo": "ada/tickets", "token": hub.token, **changes}
    return push_version(user=person.user, version_id=version.pk, **said)


def content_of(response) -> bytes:
    import asyncio

    async def read() -> bytes:
        return b"".join([block async for block in response.streaming_content])

    return asyncio.run(read())


def test_the_archive_has_every_file_in_one_folder(version, federation, ada, carol):
    response = browser(ada.user).get(f"/versions/{version.pk}/archive")
    name = f"{federation.slug}-v1"
    assert f'filename="{name}.zip"' in response["Content-Disposition"]
    with ZipFile(io.BytesIO(content_of(response))) as archive:
        assert archive.testzip() is None
        found = {info.filename: archive.read(info) for info in archive.infolist()}
    assert {path: found[f"{name}/{path}"] for path in FILES} == FILES
    assert len(found) == 3
    same = ada.api.get(f"/api/v1/versions/{version.pk}/archive")
    assert (same.status_code, same["Content-Type"]) == (200, "application/zip")
    assert content_of(same)
    assert browser(carol.user).get(f"/versions/{version.pk}/archive").status_code == 404
    assert carol.api.get(f"/api/v1/versions/{version.pk}/archive").status_code == 404


def test_equal_commits_give_equal_archives_in_blocks(federation):
    version = VersionFactory(federation=federation, files={"big": os.urandom(5 << 20)})
    commit = newest_commit(version)
    files = list(commit.files.select_related("artifact"))
    first, second = (list(packed("x", commit.created_at, files)) for _ in range(2))
    assert b"".join(first) == b"".join(second)
    assert max(map(len, first)) < 2 << 20
    assert all(first)


def test_a_version_is_laid_down_as_a_folder(version, federation, tmp_path, capsys):
    folder = tmp_path / "out" / "model"
    call_command("export_version", federation.slug, "v1", str(folder))
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert "v1 is in" in capsys.readouterr().out
    for slug, revision, target in (
        (federation.slug, "v1", folder),
        (federation.slug, "v9", tmp_path / "b"),
        ("nobody", "v1", tmp_path / "c"),
    ):
        with pytest.raises(CommandError):
            call_command("export_version", slug, revision, str(target))


def test_the_card_is_shown_without_anything_that_acts(version, ada, carol):
    page = browser(ada.user).get(f"/versions/{version.pk}/card")
    html = page.content.decode()
    assert "<h2>On &lt;script&gt;" in html
    assert html.count("<h1") == 1
    assert "license: mit" not in html
    assert 'href="javascript' not in html
    assert "elsewhere.example/p.png" not in html.partition("<img")[2]
    assert "Not signed yet" in words(page)
    assert browser(carol.user).get(f"/versions/{version.pk}/card").status_code == 404


def test_the_card_page_takes_few_queries(version, ada, django_assert_max_num_queries):
    client = browser(ada.user)
    client.get("/")
    with django_assert_max_num_queries(10):
        assert client.get(f"/versions/{version.pk}/card").status_code == 200


def test_a_push_copies_every_file_with_the_real_client(version, ada, elsewhere):
    made = asked(ada, version, elsewhere)
    assert asked(ada, version, elsewhere) == made  # under way
    assert OutboxMessage.objects.get(job=Job.PUSH_VERSION).arguments == [str(made.pk)]
    push(made.pk)
    assert {path: elsewhere.files[path] for path in FILES} == FILES
    assert set(elsewhere.files) == {*FILES, "adapter_model.safetensors"}
    assert elsewhere.repos == {"ada/tickets"}
    made.refresh_from_db()
    assert (made.state, bytes(made.sealed_token)) == ("completed", b"")
    assert made.outcome.startswith(f"{elsewhere.url}/ada/tickets/commit/")
    calls = len(elsewhere.calls)
    push(made.pk)
    assert len(elsewhere.calls) == calls
    again = asked(ada, version, elsewhere)
    push(again.pk)
    assert sum(call.startswith("PUT") for call in elsewhere.calls) == 1  # what is there stays


def test_a_token_that_is_not_good_ends_the_push_with_words(version, ada, elsewhere):
    made = asked(ada, version, elsewhere, token="hf_of-somebody-else")
    push(made.pk)
    made.refresh_from_db()
    assert (made.state, bytes(made.sealed_token)) == ("failed", b"")
    assert "the token is not valid there" in made.outcome
    assert elsewhere.files == {}


def test_a_hub_that_is_away_is_tried_again_and_not_for_ever(version, ada, elsewhere):
    elsewhere.status = 503
    made = asked(ada, version, elsewhere)
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(DependencyDown):
            push(made.pk)
    push(made.pk)
    made.refresh_from_db()
    assert (made.state, bytes(made.sealed_token)) == ("failed", b"")


def test_one_worker_at_a_time_is_at_a_push(version, ada, elsewhere):
    made = asked(ada, version, elsewhere)
    assert begin_push(push_id=made.pk)
    assert begin_push(push_id=made.pk) is None
    push(made.pk)
    assert elsewhere.calls == []
    Push.objects.update(state_changed_at=timezone.now() - timedelta(days=1))
    assert _unpushed(timezone.now()) == []
    assert _unpushed(timezone.now() + LONGEST) == [str(made.pk)]
    give_up_push(push_id=made.pk)
    push(made.pk)
    made.refresh_from_db()
    assert (made.state, made.attempts) == ("completed", 2)


def test_the_token_is_nowhere_in_clear(version, ada, elsewhere, caplog):
    said = {"version": str(version.pk), "endpoint": elsewhere.url, "repo": "ada/tickets"}
    answer = ada.api.post(
        "/api/v1/pushes", {**said, "token": elsewhere.token}, headers={"Idempotency-Key": "once"}
    )
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    made = Push.objects.get()
    assert elsewhere.token.encode() not in bytes(made.sealed_token)
    push(made.pk)
    stored = [*Event.objects.values(), *IdempotentRequest.objects.values(), *Push.objects.values()]
    assert elsewhere.token not in f"{stored} {caplog.text} {answer.content!r}"
    assert ada.api.get(f"/api/v1/pushes/{made.pk}").json()["state"] == "completed"


def test_only_addresses_that_the_operator_allows_are_asked(version, ada, elsewhere, settings):
    for address in ("http://169.254.169.254", "https://huggingface.co", f"{elsewhere.url}@evil"):
        with pytest.raises(errors.EndpointNotAllowed):
            asked(ada, version, elsewhere, endpoint=address)
    for wrong in ({"repo": "tickets"}, {"repo": "../x"}, {"token": "x\n y"}):
        with pytest.raises(errors.PushRefused):
            asked(ada, version, elsewhere, **wrong)
    assert not Push.objects.exists()
    made = asked(ada, version, elsewhere)
    settings.PUSH_ENDPOINTS = []  # the operator thought better of it
    push(made.pk)
    made.refresh_from_db()
    assert (made.state, elsewhere.calls) == ("failed", [])


def test_owners_of_those_who_take_part_may_and_nobody_else(version, blaise, carol, elsewhere):
    scientist = MembershipFactory(organisation=blaise.organisation, role=Role.SCIENTIST)
    with pytest.raises(Forbidden):
        asked(scientist, version, elsewhere)
    with pytest.raises(NotFound):
        asked(carol, version, elsewhere)
    assert asked(blaise, version, elsewhere).state == "queued"
    path = f"/versions/{version.pk}/card"
    assert "Copy it to another hub" in words(browser(blaise.user).get(path))
    assert "Copy it to another hub" not in words(browser(scientist.user).get(path))
    assert carol.api.get("/api/v1/pushes").json()["results"] == []


def test_the_form_asks_for_it_once_and_says_what_is_wrong(version, ada, elsewhere):
    client, path = browser(ada.user), f"/versions/{version.pk}/push"
    said = {"endpoint": elsewhere.url, "repo": "ada/tickets", "token": elsewhere.token}
    assert "gets version 1 in a moment" in words(client.post(path, said, follow=True))
    told = client.post(path, {**said, "repo": "nonsense"})
    assert "Name the repository as owner/name" in words(told)
    assert elsewhere.token not in told.content.decode()
    assert Client().post(path, said).status_code == 302
    assert Push.objects.count() == 1

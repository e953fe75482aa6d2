"""Pages of base models: bring one, read and accept a licence, see what it all takes."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from hub.catalogue.bases import drafts
from hub.catalogue.bases.mirrors import mirror_failed
from hub.catalogue.blobs.quotas import largest_senders
from hub.catalogue.cards.recipes import sending_code
from hub.catalogue.models import BaseModel, BaseModelDraft, DraftFile, Upload
from tests.api.live import live_hub
from tests.factories.catalogue import BaseModelFactory, safetensors_bytes
from tests.factories.organisations import AgentFactory, MembershipFactory
from tests.pages import browser, once, words

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10
TEXT = "You may use it for good."
FILES = {
    "config.json": b'{"architectures": ["BertModel"]}',
    "model.safetensors": safetensors_bytes((3, 4)),
    "README.md": b"# Tiny\nSmall, and kind.\n",
}
SAID = {"name": "Tiny", "slug": "tiny", "licence": "Apache-2.0", "must_accept": "on"}


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def base(federation) -> BaseModel:
    """The base model of Ada's federation, with a licence that is to be accepted."""
    made = BaseModelFactory(licence_text=TEXT, must_accept=True, files=FILES, name="Tiny")
    federation.base_model = made
    federation.save()
    return made


def sent(**files: bytes) -> dict[str, list[SimpleUploadedFile]]:
    return {"chosen": [SimpleUploadedFile(name, content) for name, content in files.items()]}


def test_an_owner_brings_a_model_in_a_browser(ada):
    client = browser(ada.user)
    new = reverse("catalogue:bring")
    form = {**SAID, "licence_text": TEXT, "organisation": ada.organisation.pk}
    form["once"] = once(client.get(new))
    first, again = (client.post(new, form) for _ in range(2))
    assert first.status_code == again.status_code == 302
    assert first["Location"] == again["Location"]
    page = first["Location"]
    assert "No files yet" in words(client.get(page))
    assert client.post(f"{page}/files", sent(**FILES)).status_code == 302
    pooled = {**sent(**{"config.json": b"{}"}), "folder": "1_Pooling"}
    assert client.post(f"{page}/files", pooled).status_code == 302
    shown = words(client.get(page))
    assert "1_Pooling/config.json" in shown
    assert "Register" in shown
    done = client.post(f"{page}/register")
    assert done["Location"] == reverse("catalogue:base", args=["tiny"])
    assert "It is registered." in words(client.get(page))
    told = words(client.get(done["Location"]))
    assert "Small, and kind." in told
    assert "Ada Institute" in told
    assert "closed to you" not in told


def test_files_that_are_refused_are_named_and_the_others_stay(ada):
    draft = drafts.begin_draft(
        user=ada.user, organisation_id=ada.organisation.pk, slug="t", name="T", licence="MIT"
    )
    page = reverse("catalogue:draft", args=[draft.pk])
    evil = {"config.json": b'{"auto_map": {}}', "run.py": b"import os", "vocab.txt": b"a"}
    shown = words(browser(ada.user).post(f"{page}/files", sent(**evil)))
    assert "config.json: This folder cannot be a base model." in shown
    assert "run.py: " in shown
    complete = DraftFile.objects.filter(artifact__isnull=False)
    assert list(complete.values_list("path", flat=True)) == ["vocab.txt"]
    assert browser(ada.user).post(f"{page}/close").status_code == 302
    assert "It was given up." in words(browser(ada.user).get(page))


def test_a_form_with_files_may_be_large_here_and_nowhere_else(ada):
    draft = drafts.begin_draft(
        user=ada.user, organisation_id=ada.organisation.pk, slug="t", name="T", licence="MIT"
    )
    page = reverse("catalogue:draft", args=[draft.pk])
    large = {"vocab.txt": b"a" * (3 << 20)}
    client = browser(ada.user)
    assert client.post(reverse("catalogue:bring"), sent(**large)).status_code == 413
    assert client.post(f"{page}/files", sent(**large)).status_code == 302
    assert browser().post(f"{page}/files", sent(**large)).status_code == 302  # to sign in
    assert DraftFile.objects.get().artifact is not None


@pytest.mark.django_db(transaction=True)
def test_the_lines_on_the_page_send_a_folder_and_begun_again_they_go_on(ada, settings, tmp_path):
    draft = drafts.begin_draft(
        user=ada.user, organisation_id=ada.organisation.pk, slug="t", name="T", licence="MIT"
    )
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    drafts.announce_file(
        user=ada.user, draft_id=draft.pk, path="README.md", sha256="0" * 64, size_bytes=9
    )
    with live_hub() as hub:
        settings.PUBLIC_URL = hub.url
        token = ada.api._credentials["HTTP_AUTHORIZATION"]
        code = sending_code(draft.pk).replace("Bearer foe_…", token)
        code = code.replace('"model"', repr(str(folder)))
        code = code.replace(str(settings.UPLOAD_CHUNK_BYTES), "100")  # in several parts
        exec(compile(f"{code}\nhub.close()", "page", "exec"), {})
    assert BaseModel.objects.get().slug == "t"


def test_an_owner_reads_and_accepts_and_others_see_it(ada, blaise, carol, base, federation):
    page = reverse("catalogue:base", args=[base.slug])
    scientist = MembershipFactory(organisation=ada.organisation, role="scientist").user
    assert "An owner of Ada Institute accepts it here." in words(browser(scientist).get(page))
    client = browser(ada.user)
    shown = words(client.get(page))
    assert "Its files are closed to you." in shown
    assert TEXT in shown
    place = reverse("federations:detail", args=[federation.slug])
    assert "licence is not accepted" in words(client.get(place))
    address = reverse("catalogue:accept", args=[base.slug, ada.organisation.slug])
    assert browser(blaise.user).post(address).status_code == 404
    assert browser(scientist).post(address).status_code == 403
    client.post(address, {"licence_digest": "0" * 64})
    assert not base.acceptances.exists()
    for _ in range(2):
        client.post(address, {"licence_digest": base.licence_digest})
    assert base.acceptances.count() == 1
    assert "closed to you" not in words(client.get(page))
    assert f"has accepted {base.licence}" in words(client.get(place))
    assert "Ada Institute" in words(browser(blaise.user).get(page))  # in one federation
    assert "Ada Institute" not in words(browser(carol.user).get(page))


def test_operators_have_models_fetched_and_read_why_not(operator, ada, settings):
    settings.BASE_MODEL_SOURCES = ["https://huggingface.co"]
    new = reverse("catalogue:mirror")
    assert browser(ada.user).get(new).status_code == 403
    client = browser(operator.user)
    form = {**SAID, "endpoint": "https://huggingface.co", "repo": "a/b", "revision": "a" * 40}
    assert "40 digits" in words(client.post(new, {**form, "revision": "main"}))
    assert words(client.post(new, {**form, "endpoint": "http://169.254.169.254"}))
    assert not BaseModelDraft.objects.exists()
    page = client.post(new, {**form, "once": once(client.get(new))})["Location"]
    assert "A worker fetches it." in words(client.get(page))
    mirror_failed(draft_id=BaseModelDraft.objects.get().pk, reason="It is not there.")
    assert "It is not there." in words(client.get(page))


def test_storage_is_shown_to_those_whom_it_concerns(ada, blaise, carol, federation, settings):
    settings.ORGANISATION_QUOTA_BYTES = 1000
    BaseModelFactory(brought_by=ada.organisation, files={"a.txt": b"x" * 950}, name="Brought")
    page = reverse("catalogue:storage", args=[ada.organisation.slug])
    shown = words(browser(ada.user).get(page))
    assert "Brought" in shown
    assert "There is little room left." in shown
    assert browser(blaise.user).get(page).status_code == 404
    shared = reverse("catalogue:shared_storage", args=[federation.slug])
    assert "Allowed" in words(browser(blaise.user).get(shared))
    assert browser(carol.user).get(shared).status_code == 404


def test_operators_see_who_has_sent_most(operator, ada, django_assert_num_queries):
    for size in (10, 30, 20):
        Upload.objects.create(
            agent=AgentFactory(),
            task_id=uuid4(),
            sha256="a" * 64,
            size_bytes=size,
            state="complete",
        )
    with django_assert_num_queries(1):
        assert [sender.sent_bytes for sender in largest_senders(2)] == [30, 20]
    page = reverse("catalogue:storages")
    assert browser(ada.user).get(page).status_code == 403
    assert "30 B" in words(browser(operator.user).get(page))


def test_pages_take_few_queries(ada, base, federation, django_assert_max_num_queries):
    draft = drafts.begin_draft(
        user=ada.user, organisation_id=ada.organisation.pk, slug="t", name="T", licence="MIT"
    )
    client = browser(ada.user)
    for address in (
        reverse("catalogue:base", args=[base.slug]),
        reverse("catalogue:models"),
        reverse("catalogue:bring"),
        reverse("catalogue:draft", args=[draft.pk]),
        reverse("catalogue:storage", args=[ada.organisation.slug]),
        reverse("catalogue:shared_storage", args=[federation.slug]),
    ):
        with django_assert_max_num_queries(MOST_QUERIES):
            assert client.get(address).status_code == 200


def test_another_s_draft_is_not_there(ada, blaise):
    draft = drafts.begin_draft(
        user=ada.user, organisation_id=ada.organisation.pk, slug="t", name="T", licence="MIT"
    )
    page = reverse("catalogue:draft", args=[draft.pk])
    client = browser(blaise.user)
    assert client.get(page).status_code == 404
    for act in ("files", "register", "close"):
        assert client.post(f"{page}/{act}", sent(a=b"a")).status_code == 404

"""Base models that people bring: who may, in which steps, and what is left when it goes wrong."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.utils import timezone

from hub.catalogue.bases import drafts
from hub.catalogue.blobs.parts import part_path
from hub.catalogue.errors import (
    BaseModelChanged,
    BaseModelIncomplete,
    BaseModelRefused,
    DigestMismatch,
    DraftClosed,
    OffsetMismatch,
    QuotaReached,
    TooManyUploads,
    UploadFinished,
    UploadTooLarge,
)
from hub.catalogue.models import Artifact, BaseModel, BaseModelDraft, DraftFile
from hub.catalogue.selectors import has_accepted
from hub.common.errors import Forbidden, NotFound
from hub.organisations.errors import NotApproved
from tests.factories.catalogue import safetensors_bytes, sha256_hex
from tests.factories.federations import FederationFactory
from tests.factories.organisations import MembershipFactory

pytestmark = pytest.mark.django_db

FACTS = {"slug": "tiny", "name": "Tiny", "licence": "Apache-2.0"}
FILES = {
    "config.json": b'{"architectures": ["BertModel"]}',
    "model.safetensors": safetensors_bytes((3, 4)),
    "vocab.txt": b"[PAD]\nhello\n",
    "empty.txt": b"",
    "LICENSE": b"Do no harm.\n",
}


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


def begin(person, **changes) -> BaseModelDraft:
    said = {"organisation_id": person.organisation.pk, **FACTS, **changes}
    return drafts.begin_draft(user=person.user, **said)


def announce(person, draft, path: str, content: bytes, **changes) -> DraftFile:
    said = {"sha256": sha256_hex(content), "size_bytes": len(content), **changes}
    return drafts.announce_file(user=person.user, draft_id=draft.pk, path=path, **said)


def send(person, file: DraftFile, part: bytes, offset: int = 0) -> DraftFile:
    return drafts.append(
        user=person.user, file_id=file.pk, offset=offset, length=len(part), body=io.BytesIO(part)
    )


def bring(person, draft, files=FILES) -> None:
    for path, content in files.items():
        file = announce(person, draft, path, content)
        if file.artifact_id is None:
            send(person, file, content)


def register(person, draft) -> BaseModel:
    return drafts.register_draft(user=person.user, draft_id=draft.pk)


def test_what_an_owner_brings_is_registered_once_and_belongs_to_its_organisation(ada):
    draft = begin(ada, must_accept=True)
    bring(ada, draft)
    base = register(ada, draft)
    assert register(ada, draft) == base
    assert (base.repo, base.architecture, base.parameters) == ("base/tiny", "BertModel", 12)
    assert {file.path: file.artifact_id for file in base.files.all()} == {
        path: sha256_hex(content) for path, content in FILES.items()
    }
    assert (base.brought_by, base.licence_text) == (ada.organisation, "Do no harm.")
    assert has_accepted(ada.user, base)
    assert not DraftFile.objects.exists()


def test_parts_go_on_where_they_ended_and_a_repeated_step_changes_nothing(ada):
    draft, content = begin(ada), FILES["model.safetensors"]
    file = announce(ada, draft, "model.safetensors", content)
    assert send(ada, file, content[:10]).offset == 10
    with pytest.raises(OffsetMismatch) as told:
        send(ada, file, content[:10])
    assert told.value.extra == {"offset": 10}
    assert announce(ada, draft, "model.safetensors", content).offset == 10
    done = send(ada, file, content[10:], offset=10)
    assert done.artifact_id == sha256_hex(content)
    assert send(ada, file, b"", offset=len(content)).artifact_id == done.artifact_id
    with pytest.raises(UploadFinished):
        send(ada, file, b"more", offset=len(content))


def test_bytes_that_are_not_those_announced_begin_anew(ada):
    draft = begin(ada)
    file = announce(ada, draft, "vocab.txt", b"right")
    with pytest.raises(DigestMismatch):
        send(ada, file, b"wrong")
    assert not part_path(file.pk).exists()
    assert send(ada, file, b"right").artifact_id == sha256_hex(b"right")
    with pytest.raises(UploadTooLarge):
        send(ada, announce(ada, draft, "merges.txt", b"a"), b"ab")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("model.safetensors", b"\x80\x04cposix\nsystem\n" * 9),
        ("config.json", b'{"auto_map": {"AutoModel": "m.M"}}'),
        ("vocab.txt", b"PK\x03\x04"),
    ],
)
def test_a_file_is_looked_into_before_it_is_stored(ada, path, content):
    file = announce(ada, begin(ada), path, content)
    with pytest.raises(BaseModelRefused):
        send(ada, file, content)
    assert not Artifact.objects.filter(pk=sha256_hex(content)).exists()
    assert DraftFile.objects.get().offset == 0


@pytest.mark.parametrize("path", ["run.py", "../config.json", ".git/config.json", "model.bin"])
def test_a_name_is_refused_before_any_byte(ada, path):
    with pytest.raises(BaseModelRefused):
        announce(ada, begin(ada), path, b"{}")


def test_nothing_is_registered_before_all_is_there(ada):
    draft = begin(ada)
    with pytest.raises(BaseModelRefused, match="and weights as"):
        register(ada, draft)
    bring(ada, draft)
    announce(ada, draft, "merges.txt", b"late")
    with pytest.raises(BaseModelIncomplete, match="such as merges"):
        register(ada, draft)
    assert not BaseModel.objects.exists()


def test_a_licence_that_must_be_accepted_has_a_text(ada):
    draft = begin(ada, must_accept=True)
    bring(ada, draft, {path: FILES[path] for path in ("config.json", "model.safetensors")})
    with pytest.raises(BaseModelRefused, match="text to be read"):
        register(ada, draft)


def test_a_changed_file_needs_another_name_and_two_federations_share_one_base(ada, blaise):
    draft = begin(ada)
    bring(ada, draft)
    base = register(ada, draft)
    before = set(Artifact.objects.values_list("pk", flat=True))
    one, two = FederationFactory(base_model=base), FederationFactory(base_model=base)
    assert one.base_model == two.base_model
    again = begin(blaise)
    bring(blaise, again)  # known to everybody here, so no byte is sent twice
    assert register(blaise, again) == base
    assert set(Artifact.objects.values_list("pk", flat=True)) == before
    other = begin(blaise)
    bring(blaise, other, {**FILES, "vocab.txt": b"[PAD]\ngoodbye\n"})
    with pytest.raises(BaseModelChanged):
        register(blaise, other)


def test_only_owners_of_approved_organisations_and_operators_bring_one(ada, operator):
    scientist = MembershipFactory(organisation=ada.organisation, role="scientist").user
    with pytest.raises(Forbidden):
        drafts.begin_draft(user=scientist, organisation_id=ada.organisation.pk, **FACTS)
    with pytest.raises(NotFound):
        begin(ada, organisation_id=operator.organisation.pk)
    with pytest.raises(Forbidden):
        begin(ada, organisation_id=None)
    ada.organisation.move_to("suspended")
    with pytest.raises(NotApproved):
        begin(ada)
    assert begin(operator, organisation_id=None).organisation is None


def test_another_s_draft_is_not_there(ada, blaise):
    draft = begin(ada)
    file = announce(ada, draft, "vocab.txt", b"a")
    with pytest.raises(NotFound):
        announce(blaise, draft, "vocab.txt", b"b")
    with pytest.raises(NotFound):
        send(blaise, file, b"a")
    with pytest.raises(NotFound):
        register(blaise, draft)


def test_given_up_twice_is_given_up_once_and_leaves_no_file(
    ada, django_capture_on_commit_callbacks
):
    draft = begin(ada)
    file = announce(ada, draft, "vocab.txt", b"hello")
    send(ada, file, b"he")
    with django_capture_on_commit_callbacks(execute=True):
        drafts.close_draft(user=ada.user, draft_id=draft.pk)
    assert drafts.close_draft(user=ada.user, draft_id=draft.pk).state == "closed"
    assert not part_path(file.pk).exists()
    with pytest.raises(DraftClosed):
        announce(ada, draft, "vocab.txt", b"hello")


def test_what_nobody_touches_for_a_day_is_given_up(ada):
    old, new = begin(ada), begin(ada, slug="other")
    BaseModelDraft.objects.filter(pk=old.pk).update(touched_at=timezone.now() - timedelta(days=2))
    assert drafts.sweep_drafts() == 1
    assert drafts.sweep_drafts() == 0
    old.refresh_from_db()
    assert (old.state, new.state) == ("closed", "open")


def test_there_is_an_end_to_drafts_bytes_and_quotas(ada, settings):
    draft = begin(ada)
    settings.BASE_MODEL_LIMIT_BYTES = 10
    with pytest.raises(UploadTooLarge):
        announce(ada, draft, "vocab.txt", b"x" * 11)
    settings.ORGANISATION_QUOTA_BYTES = 9
    with pytest.raises(QuotaReached):
        announce(ada, draft, "vocab.txt", b"x" * 10)
    for number in range(9):
        begin(ada, slug=f"tiny-{number}")
    with pytest.raises(TooManyUploads):
        begin(ada, slug="one-more")

"""Base models over the API: brought file by file, or fetched from a hub, which is our own here."""

from __future__ import annotations

import base64
import hashlib
import json
from uuid import UUID, uuid4

import pytest
from django.test import Client
from huggingface_hub import close_session

from hub.catalogue.bases.mirrors import sweep_mirrors
from hub.catalogue.models import BaseModel, BaseModelDraft
from hub.common.errors import DependencyDown
from hub.common.models import OutboxMessage
from hub.dispatch import Job
from jobs.mirroring import mirror
from jobs.transfers import mirror_base_model
from tests.api.live import live_hub
from tests.factories.catalogue import BaseModelFactory, safetensors_bytes, sha256_hex

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)

FACTS = {"slug": "tiny", "name": "Tiny", "licence": "Apache-2.0"}
CONFIG = b'{"architectures": ["BertModel"]}'
WEIGHTS = safetensors_bytes((300, 40))
DRAFTS = "/api/v1/base-model-drafts"


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"
    settings.HOME = tmp_path


def post(person, path: str, body: object = None, key: str = ""):
    return person.api.post(path, body, headers={"Idempotency-Key": key or str(uuid4())})


def begin(person, **changes):
    body = {**FACTS, "organisation": str(person.organisation.pk), **changes}
    return post(person, DRAFTS, body)


def announce(person, draft: str, path: str, content: bytes) -> dict:
    said = {"path": path, "sha256": sha256_hex(content), "size_bytes": len(content)}
    answer = post(person, f"{DRAFTS}/{draft}/files", said)
    assert answer.status_code == 201, answer.content
    return answer.json()


def patch(person, file: str, part: bytes, offset: int, **headers: str):
    given = {
        "Authorization": person.api._credentials["HTTP_AUTHORIZATION"],
        "Tus-Resumable": "1.0.0",
        "Upload-Offset": str(offset),
        **headers,
    }
    return Client().patch(
        f"/api/v1/base-model-files/{file}",
        part,
        content_type="application/offset+octet-stream",
        headers=given,
    )


def test_a_script_brings_a_model_in_parts_and_registers_it(ada):
    draft = begin(ada, must_accept=True, licence_text="For good.").json()["id"]
    config = announce(ada, draft, "config.json", CONFIG)
    assert patch(ada, config["id"], CONFIG, 0).status_code == 204
    weights = announce(ada, draft, "model.safetensors", WEIGHTS)
    assert patch(ada, weights["id"], WEIGHTS[:1000], 0)["Upload-Offset"] == "1000"
    wrong = patch(ada, weights["id"], WEIGHTS[:1000], 0)
    assert (wrong.status_code, wrong["Upload-Offset"]) == (409, "1000")
    digest = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    spoilt = patch(ada, weights["id"], WEIGHTS[1000:], 1000, Content_Digest=f"sha-256=:{digest}:")
    assert (spoilt.status_code, spoilt.json()["code"]) == (422, "digest_mismatch")
    early = post(ada, f"{DRAFTS}/{draft}/register")
    assert (early.status_code, early.json()["code"]) == (409, "base_model_incomplete")
    assert patch(ada, weights["id"], WEIGHTS[1000:], 1000).status_code == 204
    shown = ada.api.get(f"{DRAFTS}/{draft}").json()
    assert [(f["path"], f["is_complete"]) for f in shown["files"]] == [
        ("config.json", True),
        ("model.safetensors", True),
    ]
    for _ in range(2):
        base = post(ada, f"{DRAFTS}/{draft}/register").json()
        assert (base["repo"], base["parameters"], base["must_accept"]) == ("base/tiny", 12000, True)
    closed = post(ada, f"{DRAFTS}/{draft}/close")
    assert (closed.status_code, closed.json()["code"]) == (409, "illegal_transition")


def test_another_s_draft_is_not_there_and_refusals_change_nothing(ada, blaise):
    draft = begin(ada).json()["id"]
    file = announce(ada, draft, "vocab.txt", b"words")
    assert blaise.api.get(f"{DRAFTS}/{draft}").status_code == 404
    assert blaise.api.get(DRAFTS).json()["results"] == []
    assert patch(blaise, file["id"], b"words", 0).status_code == 404
    for path in ("register", "close", "files"):
        body = {"path": "a.txt", "sha256": "0" * 64, "size_bytes": 1}
        assert post(blaise, f"{DRAFTS}/{draft}/{path}", body).status_code == 404
    bad = post(
        ada, f"{DRAFTS}/{draft}/files", {"path": "x.py", "sha256": "0" * 64, "size_bytes": 1}
    )
    assert (bad.status_code, bad.json()["code"]) == (422, "base_model_refused")
    negative = {"path": "a.txt", "sha256": "0" * 64, "size_bytes": -1}
    assert post(ada, f"{DRAFTS}/{draft}/files", negative).status_code == 400
    assert begin(ada, organisation=None).status_code == 403
    assert begin(ada, organisation=str(blaise.organisation.pk)).status_code == 404
    assert post(ada, f"{DRAFTS}/{draft}/close").json()["state"] == "closed"
    gone = patch(ada, file["id"], b"words", 0)
    assert gone.status_code == 404


def mirror_body(endpoint: str, digits: str, **changes: object) -> dict:
    said = {**FACTS, "slug": "mirrored", "name": "Mirrored", "endpoint": endpoint}
    return {**said, "repo": "base/tiny", "revision": digits, **changes}


@committing
def test_an_operator_has_a_model_fetched_from_another_hub(operator, settings, tmp_path):
    files = {
        "config.json": CONFIG,
        "model.safetensors": WEIGHTS,
        "LICENSE": b"For good.\n",
        "modeling_evil.py": b"import os",
        "pytorch_model.bin": b"\x80\x04",
    }
    origin = BaseModelFactory(slug="tiny", files=files)
    token = operator.api._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    with live_hub() as outside:
        endpoint = f"{outside.url}/hf"
        settings.BASE_MODEL_SOURCES, settings.BASE_MODEL_SOURCE_TOKEN = [f"{endpoint}/"], token
        asked = mirror_body(endpoint, origin.revision, must_accept=True)
        draft = post(operator, f"{DRAFTS}/mirrors", asked).json()
        assert post(operator, f"{DRAFTS}/mirrors", asked).json() == draft
        assert OutboxMessage.objects.filter(job=Job.MIRROR_BASE_MODEL).count() == 1
        for _ in range(2):
            mirror_base_model(draft["id"])
        close_session()
    made = BaseModel.objects.get(slug="mirrored")
    assert sorted(made.files.values_list("path", flat=True)) == [
        "LICENSE",
        "config.json",
        "model.safetensors",
    ]
    assert (made.licence_text, made.must_accept) == ("For good.", True)
    assert made.source == f"{endpoint}/base/tiny/tree/{origin.revision}"
    shown = operator.api.get(f"{DRAFTS}/{draft['id']}").json()
    assert (shown["state"], shown["base_model"]) == ("registered", str(made.pk))
    assert list((tmp_path / "scratch").iterdir()) == []


@committing
def test_what_cannot_be_fetched_says_why_and_what_may_heal_is_tried_again(operator, settings):
    with live_hub() as outside:
        endpoint = f"{outside.url}/hf"
        settings.BASE_MODEL_SOURCES = [endpoint, "http://127.0.0.1:9"]
        draft = post(operator, f"{DRAFTS}/mirrors", mirror_body(endpoint, "0" * 40)).json()
        mirror_base_model(draft["id"])
        close_session()
    failed = BaseModelDraft.objects.get(pk=draft["id"])
    assert failed.state == "failed"
    away = post(operator, f"{DRAFTS}/mirrors", mirror_body("http://127.0.0.1:9", "0" * 40)).json()
    with pytest.raises(DependencyDown):
        mirror(UUID(away["id"]))
    assert BaseModelDraft.objects.get(pk=away["id"]).state == "fetching"
    BaseModelDraft.objects.filter(pk=away["id"]).update(created_at="2020-01-01T00:00:00Z")
    assert (sweep_mirrors(), sweep_mirrors()) == (1, 0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"endpoint": "http://169.254.169.254"}, "source_not_allowed"),
        ({"endpoint": "https://huggingface.co.evil.example"}, "source_not_allowed"),
        ({"endpoint": "https://huggingface.co@evil.example"}, "source_not_allowed"),
        ({"endpoint": "file:///etc"}, "source_not_allowed"),
        ({"repo": "../../api"}, "base_model_refused"),
        ({"repo": "a/b/c"}, "base_model_refused"),
        ({"repo": "a/b?x=1"}, "base_model_refused"),
        ({"revision": "main"}, "base_model_refused"),
        ({"revision": "../../../../../../../../../../../../etc"}, "base_model_refused"),
        ({"slug": "Not A Slug"}, "base_model_refused"),
    ],
)
def test_only_commits_of_hubs_that_the_settings_name_are_fetched(operator, changes, code):
    body = {**mirror_body("https://huggingface.co", "a" * 40), **changes}
    answer = post(operator, f"{DRAFTS}/mirrors", body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not BaseModelDraft.objects.exists()


def test_only_operators_have_models_fetched(ada):
    answer = post(ada, f"{DRAFTS}/mirrors", mirror_body("https://huggingface.co", "a" * 40))
    assert answer.status_code == 403
    assert json.loads(answer.content)["code"] == "forbidden"

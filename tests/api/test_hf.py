"""The Hugging Face dialect, judged by the libraries it is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.signing import dumps
from django.test import Client
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hub.catalogue.bases.registering import register_base_model
from hub.catalogue.blobs import tokens
from hub.catalogue.blobs.tokens import issue_download_token
from hub.catalogue.versions.registry import (
    adopt_file,
    publish_version,
    release_version,
    version_files,
)
from tests.api.dialect import api_of, get, token_of
from tests.factories.catalogue import BaseModelFactory, VersionFactory, sha256_hex
from tests.factories.federations import FederationFactory
from tests.factories.organisations import AgentFactory

WEIGHTS = os.urandom(2_500_000)
FILES = {
    "config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "1_Pooling/config.json": b'{"mean": true}',
    "1_Pooling/deep/note.txt": b"hello",
}
committing = pytest.mark.django_db(transaction=True)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def base():
    return BaseModelFactory(slug="tiny", files=FILES)


@committing
def test_a_repository_is_described_listed_and_fetched_once(base, carol, hub, tmp_path):
    api = api_of(hub, token_of(carol))
    info = api.model_info("base/tiny")
    assert (info.id, info.sha, info.private) == ("base/tiny", base.revision, True)
    assert sorted(api.list_repo_files("base/tiny")) == sorted(FILES)
    sizes = {
        file.path: file.size
        for file in api.list_repo_tree("base/tiny", recursive=True)
        if hasattr(file, "size")
    }
    assert sizes == {path: len(content) for path, content in FILES.items()}
    top = {entry.path for entry in api.list_repo_tree("base/tiny")}
    assert top == {"config.json", "model.safetensors", "1_Pooling"}
    inner = {entry.path for entry in api.list_repo_tree("base/tiny", "1_Pooling")}
    assert inner == {"1_Pooling/config.json", "1_Pooling/deep"}

    options = {"endpoint": f"{hub.url}/hf", "token": token_of(carol), "cache_dir": tmp_path}
    folder = Path(snapshot_download("base/tiny", **options))
    assert {p: (folder / p).read_bytes() for p in FILES} == FILES
    assert folder.name == base.revision
    assert (folder / "model.safetensors").resolve().name == sha256_hex(WEIGHTS)
    assert hub.statuses("GET", "model.safetensors") == [200]
    again = snapshot_download("base/tiny", **options)
    pinned = snapshot_download("base/tiny", revision=base.revision, **options)
    assert Path(again) == Path(pinned) == folder
    assert hub.statuses("GET", "model.safetensors") == [200]


@committing
def test_a_download_that_was_cut_goes_on_where_it_was(carol, hub, tmp_path):
    content = os.urandom(12_000_000)  # the client keeps what it has in blocks of ten million
    base = BaseModelFactory(files={"model.safetensors": content})
    hub.cut_after = 11_000_000
    path = hf_hub_download(
        base.repo,
        "model.safetensors",
        endpoint=f"{hub.url}/hf",
        token=token_of(carol),
        cache_dir=tmp_path,
    )
    assert Path(path).read_bytes() == content
    assert hub.statuses("GET", "model.safetensors") == [200, 206]


@committing
def test_strangers_and_mistakes_get_what_the_real_hub_gives(federation, ada, carol, hub):
    VersionFactory(federation=federation)
    repo = f"{federation.slug}/adapter"
    assert api_of(hub, token_of(ada)).repo_exists(repo)
    for token, status in ((token_of(carol), 404), (False, 401)):
        for name in (repo, "nobody/adapter", f"{federation.slug}/other", "base/none", "gpt2"):
            with pytest.raises(RepositoryNotFoundError) as refused:
                api_of(hub, token).model_info(name)
            assert refused.value.response.status_code == status
    with pytest.raises(HfHubHTTPError, match="Invalid credentials") as refused:
        api_of(hub, "foe_" + "0" * 64).model_info(repo)
    assert not isinstance(refused.value, RepositoryNotFoundError)
    with pytest.raises(RevisionNotFoundError):
        api_of(hub, token_of(ada)).model_info(repo, revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        api_of(hub, token_of(ada)).hf_hub_download(repo, "chat_template.jinja")
    assert not api_of(hub, token_of(ada)).file_exists(repo, "added_tokens.json")


PROGRAM = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForTokenClassification, AutoTokenizer
base, adapter, text = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(base)
found = {}
for revision in ("v1", "v2", "main"):
    model = AutoModelForTokenClassification.from_pretrained(base, num_labels=3)
    model = PeftModel.from_pretrained(model, adapter, revision=revision).eval()
    given = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    found[revision] = model(**given).logits.mean(dim=1)[0].tolist()
print(json.dumps(found))
"""


def run_program(*arguments: str, **environment: str) -> dict[str, list[float]]:
    """In a process that knows nothing but two variables, as a user's laptop does."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**kept, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


@pytest.fixture
def published(federation, tmp_path):
    """Two versions over a real if tiny encoder, and what each says to a text."""
    from federation.modelling import create_adapter
    from tests.federation.modelling import worlds

    folder = worlds.save_encoder(tmp_path / "encoder")
    base = register_base_model(folder=folder, slug="tiny-bert", name="Tiny", licence="MIT")
    federation.base_model = base
    federation.save()
    expected = {}
    for seed in (1, 2):
        plan = worlds.classification().model_copy(update={"seed": seed})
        target = tmp_path / f"{seed}.safetensors"
        create_adapter(base=folder, plan=plan, target=target)
        worlds.trained(folder, plan, target, target)
        expected[f"v{seed}"] = answer(folder, target, plan, tmp_path / f"local-{seed}")
        adapter = adopt_file(path=target)
        contributors = [{"organisation": "Ada Institute", "examples": 24, "weight": 1.0}]
        version = publish_version(
            federation=federation,
            base_model=base,
            parent=None,
            adapter=adapter,
            files=version_files(
                plan=plan, federation=federation, adapter=adapter, contributors=contributors
            ),
            plan=plan.model_dump(mode="json"),
            plan_digest=plan.digest(),
            rank=plan.adapter.rank,
            contributors=contributors,
            report={},
        )
    return version, expected


def answer(base: Path, adapter: Path, plan, folder: Path) -> list[float]:
    """The logits by files on the disk, without any hub."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from federation.modelling import adapter_config
    from tests.federation.modelling.worlds import HOT

    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(adapter.read_bytes())
    config = adapter_config(plan, base_repo=str(base))
    (folder / "adapter_config.json").write_text(json.dumps(config))
    model = AutoModelForTokenClassification.from_pretrained(base, num_labels=3)
    model = PeftModel.from_pretrained(model, folder).eval()
    given = AutoTokenizer.from_pretrained(base)(
        HOT, return_tensors="pt", return_token_type_ids=False
    )
    with torch.no_grad():
        return model(**given).logits.mean(dim=1)[0].tolist()


@committing
def test_from_pretrained_works_with_an_address_and_a_token(published, ada, hub, tmp_path):
    from tests.federation.modelling.worlds import HOT

    version, expected = published
    release_version(user=ada.user, version_id=version.pk)
    found = run_program(
        "base/tiny-bert",
        version.repo,
        HOT,
        HF_ENDPOINT=f"{hub.url}/hf",
        HF_TOKEN=token_of(ada),
        HF_HOME=str(tmp_path / "home"),
    )
    assert found["v1"] == pytest.approx(expected["v1"], abs=1e-5)
    assert found["v2"] == pytest.approx(expected["v2"], abs=1e-5)
    assert found["main"] == found["v2"] != found["v1"]
    assert hub.statuses("GET", "model.safetensors").count(200) == 3  # the base, v1, v2: once each


def test_a_download_token_opens_one_repository(base, federation, ada):
    VersionFactory(federation=federation)
    agent = AgentFactory(organisation=ada.organisation)
    token = issue_download_token(agent=agent, repo="base/tiny").token
    assert get("/hf/api/models/base/tiny", token).status_code == 200
    other = get(f"/hf/api/models/{federation.slug}/adapter", token)
    assert (other.status_code, other["X-Error-Code"]) == (404, "RepoNotFound")
    own = issue_download_token(agent=agent, repo=f"{federation.slug}/adapter").token
    assert get(f"/hf/api/models/{federation.slug}/adapter", own).status_code == 200


def test_a_download_token_lasts_as_long_as_its_agent_and_five_minutes_at_most(
    base, ada, monkeypatch
):
    agent = AgentFactory(organisation=ada.organisation)
    given = issue_download_token(agent=agent, repo="base/tiny")
    assert get("/hf/api/models/base/tiny", given.token).status_code == 200
    monkeypatch.setattr(tokens, "LIFETIME", timedelta(seconds=-1))
    assert get("/hf/api/models/base/tiny", given.token).status_code == 401
    monkeypatch.undo()
    agent.move_to("revoked")
    assert get("/hf/api/models/base/tiny", given.token).status_code == 401


def test_a_download_token_of_an_organisation_that_left_opens_nothing(federation, blaise):
    VersionFactory(federation=federation)
    agent = AgentFactory(organisation=blaise.organisation)
    token = issue_download_token(agent=agent, repo=f"{federation.slug}/adapter").token
    federation.participations.get(organisation=blaise.organisation).move_to("left")
    assert get(f"/hf/api/models/{federation.slug}/adapter", token).status_code == 404


@pytest.mark.parametrize(
    "token",
    [
        "fdl_",
        "fdl_x:y:z",
        "fdl_" + dumps({"agent": "x", "repo": "base/tiny"}, salt="another"),
        "foe_",
        "x",
        "é",
    ],
    ids=["empty", "no_signature", "another_salt", "no_key", "letter", "accent"],
)
def test_a_forged_token_is_401(base, token):
    answer = Client().get("/hf/api/models/base/tiny", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer["X-Error-Message"] == "Invalid credentials in Authorization header"


def test_a_head_has_all_that_a_cache_wants(base, carol):
    token = token_of(carol)
    named = get("/hf/base/tiny/resolve/main/model.safetensors", token, "HEAD")
    assert named.status_code == 200
    assert named["ETag"] == f'"{sha256_hex(WEIGHTS)}"'
    assert named["X-Repo-Commit"] == base.revision
    assert named["Content-Length"] == str(len(WEIGHTS))
    assert named["Accept-Ranges"] == "bytes"
    assert not [name for name in named.headers if name.lower().startswith("x-xet")]
    assert named["Cache-Control"] == "private, no-cache"
    pinned = get(f"/hf/base/tiny/resolve/{base.revision}/model.safetensors", token, "HEAD")
    assert "immutable" in pinned["Cache-Control"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_is_written_through_the_dialect(base, carol, method):
    assert get("/hf/api/models/base/tiny", token_of(carol), method).status_code == 405


def test_a_missing_file_is_a_fast_404(carol, django_assert_max_num_queries):
    base = BaseModelFactory(slug="plain", files={"config.json": b"{}"})
    token = token_of(carol)
    with django_assert_max_num_queries(5):
        answer = get(f"/hf/{base.repo}/resolve/main/chat_template.jinja", token, "HEAD")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "EntryNotFound")


def test_a_version_is_resolved_in_few_queries(ada, django_assert_max_num_queries):
    federation = FederationFactory(lead=ada.organisation)
    for _ in range(3):
        VersionFactory(federation=federation)
    path = f"/hf/{federation.slug}/adapter/resolve/main/adapter_model.safetensors"
    with django_assert_max_num_queries(8):
        assert get(path, token_of(ada), "HEAD").status_code == 200

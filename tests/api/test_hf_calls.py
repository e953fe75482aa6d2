"""Each call of the Hugging Face libraries that reads a hub, on every kind of repository."""

from __future__ import annotations

import hashlib

import pytest
from huggingface_hub import get_hf_file_metadata
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from hub.accounts.models import Scope
from hub.catalogue.bases.licences import accept_licence
from hub.catalogue.models import CommitReason
from hub.catalogue.versions.aliases import give_alias
from hub.catalogue.versions.commits import add_commit
from hub.catalogue.versions.merging import want_merged
from hub.catalogue.versions.releases import release_version
from tests.api.dialect import api_of, get, near_hub, token_of
from tests.factories.catalogue import ArtifactFactory, BaseModelFactory, VersionFactory, sha256_hex

FILES = {
    "config.json": b"{}",
    "LICENSE.txt": b"Be kind.",
    "model.safetensors": b"weights",
    "1_Pooling/config.json": b"{1}",
}
PLAN = {
    "version": 1,
    "task": {"type": "sequence_classification", "labels": ["a", "b"], "pooling": "mean"},
    "adapter": {"type": "lora"},
}
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folders(settings, tmp_path):
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def hub(settings):
    with near_hub() as near:
        settings.PUBLIC_URL = near.url
        yield near


@pytest.fixture
def line(federation, ada):
    """Two versions over a base with files; the first is released and called `ward`."""
    federation.base_model = BaseModelFactory(slug="tiny", files=FILES)
    federation.save()
    files = {"adapter_config.json": b"{}", "README.md": b"# It"}
    first, second = (
        VersionFactory(federation=federation, files=files, plan=PLAN) for _ in range(2)
    )
    release_version(user=ada.user, version_id=first.pk)
    give_alias(user=ada.user, version_id=first.pk, name="ward")
    return first, second


def newest(version) -> str:
    return version.commits.order_by("-number").first().revision


def test_refs_are_aliases_and_versions(line, ada, hub):
    first, second = line
    refs = api_of(hub, token_of(ada)).list_repo_refs(first.repo, include_pull_requests=True)
    branches = {ref.name: ref.target_commit for ref in refs.branches}
    one, two = newest(first), newest(second)
    assert branches == {"main": one, "released": one, "latest": two, "ward": one}
    assert [(tag.name, tag.target_commit) for tag in refs.tags] == [("v2", two), ("v1", one)]
    assert {ref.ref for ref in refs.tags} == {"refs/tags/v1", "refs/tags/v2"}
    assert refs.pull_requests == []


def test_merged_and_base_have_refs_of_their_own(line, ada, hub):
    api = api_of(hub, token_of(ada))
    merged = api.list_repo_refs(f"{line[0].repo}-merged")
    names = {ref.name: ref.target_commit for ref in [*merged.branches, *merged.tags]}
    assert names["v1"] == names["ward"] != names["v2"]
    assert api.model_info(f"{line[0].repo}-merged", revision="v1").sha == names["v1"]
    base = api.list_repo_refs("base/tiny")
    assert [ref.target_commit for ref in base.branches] == [line[0].base_model.revision]


def test_commits_are_those_that_led_there_page_by_page(line, ada, hub, monkeypatch):
    first, second = line
    monkeypatch.setattr("hub.catalogue.hf.listings.PAGE", 2)
    files = {file.path: file.artifact for file in first.files}
    later = {**files, "README.md": ArtifactFactory()}
    add_commit(version=first, files=later, reason=CommitReason.EVALUATED)
    api = api_of(hub, token_of(ada))
    commits = api.list_repo_commits(first.repo, revision="v2", formatted=True)
    assert [commit.title for commit in commits] == ["v2 published", "v1 evaluated", "v1 published"]
    assert [commit.commit_id for commit in commits] == [
        newest(second),
        newest(first),
        first.revision,
    ]
    assert commits[0].authors == [first.federation.slug]
    old = api.list_repo_commits(first.repo, revision=first.revision)
    assert [commit.commit_id for commit in old] == [first.revision]
    (only,) = api.list_repo_commits("base/tiny")
    assert only.commit_id == first.base_model.revision
    merged = api.list_repo_commits(f"{first.repo}-merged", revision="v2")
    assert [commit.title for commit in merged] == ["v2 merged", "v1 merged"]
    with pytest.raises(RevisionNotFoundError):
        api.list_repo_commits(first.repo, revision="v9")


def test_digits_may_be_cut_to_seven(line, ada, hub):
    first, _ = line
    api = api_of(hub, token_of(ada))
    for repo, digits in (
        (first.repo, first.revision),
        ("base/tiny", first.base_model.revision),
        (f"{first.repo}-merged", api.model_info(f"{first.repo}-merged", revision="v1").sha),
    ):
        assert api.model_info(repo, revision=digits[:7]).sha == digits
        assert api.model_info(repo, revision=digits).sha == digits
        assert not api.revision_exists(repo, digits[:6])
        assert not api.revision_exists(repo, "0" * 40)
    assert api.revision_exists(first.repo, "v2")
    assert not api.revision_exists(first.repo, "refs/pr/1")


def test_what_model_info_says(line, ada, hub):
    first, _ = line
    api = api_of(hub, token_of(ada))
    plain = api.model_info(first.repo)
    assert {file.rfilename for file in plain.siblings} >= {"README.md", "adapter_config.json"}
    assert {file.size for file in plain.siblings} == {None}
    assert (plain.library_name, plain.pipeline_tag) == ("peft", "text-classification")
    assert plain.card_data.base_model == "base/tiny"
    assert "base_model:adapter:base/tiny" in plain.tags
    whole = api.model_info(first.repo, files_metadata=True)
    (readme,) = [file for file in whole.siblings if file.rfilename == "README.md"]
    assert (readme.size, readme.lfs.sha256) == (4, sha256_hex(b"# It"))
    assert api.model_info(first.repo, expand=["sha", "siblings"]).sha == plain.sha
    assert api.model_info(first.repo, securityStatus=True).sha == plain.sha
    merged = api.model_info(f"{first.repo}-merged")
    assert (merged.library_name, merged.pipeline_tag) == ("transformers", "token-classification")
    assert "base_model:merge:base/tiny" in merged.tags
    assert {file.rfilename for file in merged.siblings} == set(FILES)


def test_what_is_known_of_paths(line, ada, hub):
    api = api_of(hub, token_of(ada))
    wanted = ["1_Pooling", "config.json", "none.json", "1_Pooling/config.json"]
    found = api.get_paths_info("base/tiny", wanted, expand=True)
    assert [entry.path for entry in found] == [path for path in wanted if path != "none.json"]
    assert {entry.last_commit.oid for entry in found} == {line[0].base_model.revision}
    assert api.get_paths_info("base/tiny", "config.json")[0].size == 2
    tree = api.list_repo_tree("base/tiny", expand=True)
    assert {entry.last_commit.title for entry in tree} == {"registered"}


def test_each_sees_the_repositories_that_are_theirs(line, ada, carol, hub):
    first, _ = line
    api = api_of(hub, token_of(ada))
    assert [model.id for model in api.list_models()][:2] == [first.repo, "base/tiny"]
    assert [model.id for model in api.list_models(author=first.federation.slug)] == [first.repo]
    assert "base/tiny" in [model.id for model in api.list_models(search="TIN")]
    assert list(api.list_models(search="nothing")) == []
    (listed,) = api.list_models(author=first.federation.slug, limit=1, full=True)
    assert (listed.sha, listed.private, listed.siblings) == (newest(first), True, None)
    strangers = {model.author for model in api_of(hub, token_of(carol)).list_models()}
    assert strangers == {"base"}
    assert list(api_of(hub, False).list_models()) == []


def test_a_list_of_models_goes_on(ada, hub, monkeypatch):
    monkeypatch.setattr("hub.catalogue.hf.listings.PAGE", 2)
    bases = {BaseModelFactory().repo for _ in range(5)}
    assert {model.id for model in api_of(hub, token_of(ada)).list_models()} == bases
    assert hub.requests == [("GET", "/hf/api/models")] * 3


def test_a_list_of_models_costs_the_same_however_long_it_is(line, ada, django_assert_num_queries):
    token = token_of(ada)
    get("/hf/api/models", token)
    want_merged(version=line[0])
    with django_assert_num_queries(6):
        get("/hf/api/models", token)
    for _ in range(3):
        VersionFactory(federation=line[0].federation)
        BaseModelFactory()
    with django_assert_num_queries(6):
        get("/hf/api/models", token)


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "cursor=9999999999999", "cursor=%C2%B2"])
def test_odd_pages_are_answered(ada, query):
    assert get(f"/hf/api/models?{query}", token_of(ada)).status_code == 200


def test_who_a_token_is(ada, hub):
    api = api_of(hub, token_of(ada))
    told = api.whoami()
    assert (told["type"], told["name"], told["fullname"]) == ("user", ada.user.email, "Ada")
    assert [org["name"] for org in told["orgs"]] == ["ada"]
    assert told["auth"]["accessToken"] == {"displayName": "tests", "role": "write"}
    with pytest.raises(HfHubHTTPError, match="Invalid user token") as refused:
        api_of(hub, "foe_" + "0" * 64).whoami()
    assert refused.value.response.status_code == 401
    assert get("/hf/api/whoami-v2").status_code == 401


def test_a_token_that_reads_is_enough_to_pull_and_pushes_nothing(line, ada, hub):
    first, _ = line
    ada.user.auth_token_set.update(scope=Scope.READ)
    api = api_of(hub, token_of(ada))
    assert api.whoami()["auth"]["accessToken"]["role"] == "read"
    assert api.get_paths_info("base/tiny", "config.json")[0].size == 2  # a POST that reads
    assert "adapter_config.json" in api.list_repo_files(first.repo)
    asked = {"repo": "us/it", "endpoint": "https://huggingface.co", "token": "hf_x"}
    refused = ada.api.post("/api/v1/pushes", {"version": str(first.pk), **asked})
    assert (refused.status_code, refused.json()["code"]) == (403, "token_scope")


def test_a_licence_that_nobody_accepted_is_a_gate(line, ada, hub):
    first, _ = line
    base = first.base_model
    base.licence_text, base.must_accept = "Be kind.", True
    base.save()
    api = api_of(hub, token_of(ada))
    for repo in (base.repo, f"{first.repo}-merged"):
        assert api.model_info(repo).gated == "manual"
        assert api.repo_exists(repo)
        for ask in (api.auth_check, lambda repo=repo: api.hf_hub_download(repo, "config.json")):
            with pytest.raises(GatedRepoError, match="An owner accepts it") as refused:
                ask(repo) if ask == api.auth_check else ask()
            assert refused.value.response.status_code == 403
    assert api.file_exists(base.repo, "LICENSE.txt")
    api.auth_check(first.repo)
    accept_licence(
        user=ada.user,
        organisation_id=ada.organisation.pk,
        base_model_id=base.pk,
        licence_digest=hashlib.sha256(b"Be kind.").hexdigest(),
    )
    api.auth_check(base.repo)
    assert api.file_exists(base.repo, "config.json")


def test_what_a_file_is_without_fetching_it(line, ada, hub):
    url = f"{hub.url}/hf/base/tiny/resolve/main/model.safetensors"
    told = get_hf_file_metadata(url, token=token_of(ada))
    assert (told.etag, told.size) == (sha256_hex(b"weights"), 7)
    assert (told.commit_hash, told.location) == (line[0].base_model.revision, url)
    assert told.xet_file_data is None


def test_what_a_commit_lacks_is_asked_for_once(line, ada, hub, tmp_path):
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError
    from huggingface_hub.file_download import _CACHED_NO_EXIST

    options = {"endpoint": f"{hub.url}/hf", "token": token_of(ada), "cache_dir": tmp_path}
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("base/tiny", "chat_template.jinja", **options)
    known = try_to_load_from_cache("base/tiny", "chat_template.jinja", cache_dir=tmp_path)
    assert known is _CACHED_NO_EXIST


def test_what_is_no_model_is_not_here(ada, hub):
    api = api_of(hub, token_of(ada))
    for kind in ("dataset", "space"):
        with pytest.raises(RepositoryNotFoundError):
            api.repo_info("base/tiny", repo_type=kind)
    assert get("/hf/api/nothing/at/all", token_of(ada))["X-Error-Code"] == "RepoNotFound"

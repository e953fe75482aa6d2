"""The Hugging Face Hub's HTTP dialect, as far as its clients need it to read models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from hub.catalogue.hf.refusals import in_dialect
from hub.catalogue.hf.visitors import Visitor
from hub.catalogue.models import BaseModelFile, VersionFile
from hub.catalogue.repositories import EntryNotFound, RepoNotFound, Snapshot
from hub.catalogue.streaming import artifact_response

MAIN = "main"
COMMIT = "X-Repo-Commit"
POINTER_BYTES = 134  # of the file that stands for a large one in git
BRIEFLY = "private, no-cache"
TRUE = frozenset({"true", "1"})


@require_safe
def model(request: HttpRequest, owner: str, name: str, revision: str = MAIN) -> HttpResponseBase:
    """What a repository holds: `model_info`, and the first call of `snapshot_download`."""
    return in_dialect(request, lambda visitor: _model(visitor.snapshot(owner, name, revision)))


@require_safe
def tree(
    request: HttpRequest, owner: str, name: str, revision: str, folder: str = ""
) -> HttpResponseBase:
    """The files and folders below a folder: `list_repo_tree`."""
    is_recursive = request.GET.get("recursive", "").lower() in TRUE

    def answer(visitor: Visitor) -> HttpResponseBase:
        snapshot = visitor.snapshot(owner, name, revision)
        return _tree(snapshot, folder.rstrip("/"), is_recursive=is_recursive)

    return in_dialect(request, answer)


@require_safe
def resolve(
    request: HttpRequest, owner: str, name: str, revision: str, path: str
) -> HttpResponseBase:
    """The bytes of a file, or by HEAD what a client's cache wants to know of them."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        snapshot = visitor.snapshot(owner, name, revision)
        headers = {COMMIT: snapshot.commit}
        if revision != snapshot.commit:  # a name may mean something else tomorrow
            headers["Cache-Control"] = BRIEFLY
        artifact = snapshot.file(path).artifact
        filename = path.rpartition("/")[2]
        return artifact_response(request, artifact, filename=filename, headers=headers)

    return in_dialect(request, answer)


@require_safe
def no_such_repository(request: HttpRequest, name: str, **_: str) -> HttpResponseBase:
    """Models of the public hub that have no owner in their name are not here."""

    def answer(_: Visitor) -> HttpResponseBase:
        raise RepoNotFound(name)

    return in_dialect(request, answer)


def _model(snapshot: Snapshot) -> HttpResponseBase:
    made_at = snapshot.made_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return _json(
        snapshot,
        {
            "_id": snapshot.commit[:24],
            "id": snapshot.repo,
            "modelId": snapshot.repo,
            "author": snapshot.repo.partition("/")[0],
            "sha": snapshot.commit,
            "createdAt": made_at,
            "lastModified": made_at,
            "private": True,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "library_name": snapshot.library,
            "tags": [snapshot.library, "safetensors"],
            "cardData": dict(snapshot.card),
            "siblings": [_sibling(file) for file in snapshot.below("")],
        },
    )


def _tree(snapshot: Snapshot, folder: str, *, is_recursive: bool) -> HttpResponseBase:
    prefix = f"{folder}/" if folder else ""
    files = snapshot.below(prefix)
    if folder and not files:
        raise EntryNotFound(folder)
    return _json(snapshot, _entries(files, prefix, is_recursive=is_recursive))


def _json(snapshot: Snapshot, content: Any) -> HttpResponseBase:
    headers = {COMMIT: snapshot.commit, "Cache-Control": BRIEFLY}
    return JsonResponse(content, safe=False, headers=headers)


def _sibling(file: BaseModelFile | VersionFile) -> dict[str, Any]:
    entry = _file(file)
    return {"rfilename": entry.pop("path"), "blobId": entry.pop("oid"), **entry}


def _file(file: BaseModelFile | VersionFile) -> dict[str, Any]:
    """Clients believe a file's own digest only where it is marked as large."""
    artifact = file.artifact
    large = {"oid": artifact.sha256, "size": artifact.size_bytes, "pointerSize": POINTER_BYTES}
    return {
        "path": file.path,
        "oid": artifact.sha256[:40],
        "size": artifact.size_bytes,
        "lfs": {**large, "sha256": artifact.sha256},
    }


def _entries(
    files: Sequence[BaseModelFile | VersionFile], prefix: str, *, is_recursive: bool
) -> list[dict[str, Any]]:
    folders: set[str] = set()
    entries = []
    for file in files:
        parents = file.path.removeprefix(prefix).split("/")[:-1]
        folders.update(prefix + "/".join(parents[: i + 1]) for i in range(len(parents)))
        if is_recursive or not parents:
            entries.append({"type": "file", **_file(file)})
    shown = {name for name in folders if is_recursive or "/" not in name.removeprefix(prefix)}
    return [
        {"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in sorted(shown)
    ] + entries

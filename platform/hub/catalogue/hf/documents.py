"""Repositories, files and people in the JSON that the Hugging Face Hub's clients read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.http import JsonResponse
from django.http.response import HttpResponseBase

from hub.catalogue.hf.snapshots import Commit, EntryNotFound, HeldFile, Snapshot

COMMIT = "X-Repo-Commit"
POINTER_BYTES = 134  # of the file that stands for a large one in git
NO_TREE = "0" * 40  # folders have no digest here
BRIEFLY = "private, no-cache"

Document = dict[str, Any]


def answered(
    content: Any, snapshot: Snapshot | None = None, *, next_page: str = ""
) -> HttpResponseBase:
    about = {"Cache-Control": BRIEFLY}
    if next_page:
        about["Link"] = f'<{next_page}>; rel="next"'
    if snapshot is not None:
        about[COMMIT] = snapshot.commit
    return JsonResponse(content, safe=False, headers=about)


def info_of(snapshot: Snapshot, *, with_blobs: bool) -> Document:
    """What `ModelInfo` is made of; `with_blobs`: with the sizes and digests of files.

    Raises:
        BeingMerged: they are not known yet.
    """
    if with_blobs:
        siblings = [_sibling(file) for file in snapshot.below("")]
    else:
        siblings = [{"rfilename": path} for path in snapshot.paths]
    return {
        **summary_of(snapshot),
        "disabled": False,
        "cardData": dict(snapshot.card),
        "siblings": siblings,
    }


def summary_of(snapshot: Snapshot) -> Document:
    """What a list of models says of each."""
    card, made_at = snapshot.card, in_utc(snapshot.head.made_at)
    base = card.get("base_model")
    kind = card.get("base_model_relation", "adapter")
    tags = [snapshot.library, "safetensors", f"license:{card['license']}"]
    return {
        "_id": snapshot.commit[:24],
        "id": snapshot.repo,
        "modelId": snapshot.repo,
        "author": snapshot.repo.partition("/")[0],
        "sha": snapshot.commit,
        "createdAt": made_at,
        "lastModified": made_at,
        "private": True,
        "gated": "manual" if snapshot.gate and snapshot.gate.must_accept else False,
        "downloads": 0,
        "likes": 0,
        "library_name": snapshot.library,
        "tags": [*tags, f"base_model:{base}", f"base_model:{kind}:{base}"] if base else tags,
        **({"pipeline_tag": card["pipeline_tag"]} if "pipeline_tag" in card else {}),
    }


def files_in(
    snapshot: Snapshot, folder: str, *, is_recursive: bool, with_commits: bool = False
) -> list[Document]:
    """Folders and files below a folder. Raises EntryNotFound, BeingMerged."""
    prefix = f"{folder}/" if folder else ""
    files = snapshot.below(prefix)
    if folder and not files:
        raise EntryNotFound(folder, commit=snapshot.commit)
    folders = _folders(files, prefix)
    shown = [name for name in folders if is_recursive or "/" not in name.removeprefix(prefix)]
    own = [f for f in files if is_recursive or "/" not in f.path.removeprefix(prefix)]
    return _dated([*map(_folder, shown), *map(_file, own)], snapshot.head if with_commits else None)


def paths_of(
    snapshot: Snapshot, wanted: Iterable[str], *, with_commits: bool = False
) -> list[Document]:
    """Of these paths those that are there. Raises BeingMerged."""
    files = snapshot.below("")
    known = {name: _folder(name) for name in _folders(files, "")}
    known |= {file.path: _file(file) for file in files}
    found = [known[path] for path in dict.fromkeys(wanted) if path in known]
    return _dated(found, snapshot.head if with_commits else None)


def _dated(entries: Sequence[Document], commit: Commit | None) -> list[Document]:
    if commit is None:
        return list(entries)
    last = {"id": commit.digits, "title": commit.title, "date": in_utc(commit.made_at)}
    return [{**entry, "lastCommit": last} for entry in entries]


def _folders(files: Iterable[HeldFile], prefix: str) -> list[str]:
    found: set[str] = set()
    for file in files:
        parents = file.path.removeprefix(prefix).split("/")[:-1]
        found.update(prefix + "/".join(parents[: i + 1]) for i in range(len(parents)))
    return sorted(found)


def _folder(name: str) -> Document:
    return {"type": "directory", "oid": NO_TREE, "size": 0, "path": name}


def _file(file: HeldFile) -> Document:
    """Clients believe a file's own digest only where it is marked as large."""
    artifact = file.artifact
    large = {"oid": artifact.sha256, "size": artifact.size_bytes, "pointerSize": POINTER_BYTES}
    oid, size = artifact.sha256[:40], artifact.size_bytes
    return {"type": "file", "path": file.path, "oid": oid, "size": size, "lfs": large}


def _sibling(file: HeldFile) -> Document:
    entry = _file(file)
    lfs = {**entry["lfs"], "sha256": entry["lfs"]["oid"]}
    return {"rfilename": file.path, "blobId": entry["oid"], "size": entry["size"], "lfs": lfs}


def refs_of(branches: Mapping[str, str], tags: Mapping[str, str]) -> Document:
    def told(kind: str, names: Mapping[str, str]) -> list[Document]:
        return [
            {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": digits}
            for name, digits in names.items()
        ]

    return {"branches": told("heads", branches), "tags": told("tags", tags), "converts": []}


def commit_of(commit: Commit, author: str) -> Document:
    return {
        "id": commit.digits,
        "title": commit.title,
        "message": "",
        "authors": [{"user": author}],
        "date": in_utc(commit.made_at),
    }


def in_utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

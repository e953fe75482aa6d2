"""The Hugging Face Hub's HTTP dialect: what a repository holds, and its files."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from hub.catalogue.blobs.streaming import artifact_response
from hub.catalogue.hf.documents import COMMIT, answered, files_in, info_of, paths_of
from hub.catalogue.hf.refusals import in_dialect
from hub.catalogue.hf.snapshots import RepoNotFound
from hub.catalogue.hf.visitors import Visitor
from hub.catalogue.versions.aliases import MAIN

BRIEFLY = "private, no-cache"
TRUE = frozenset({"true", "1"})


@login_not_required
@require_safe
def model(request: HttpRequest, owner: str, name: str, revision: str = MAIN) -> HttpResponseBase:
    """What a repository is: `model_info`, and the first call of `snapshot_download`."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        snapshot = visitor.snapshot(owner, name, revision)
        return answered(info_of(snapshot, with_blobs=_says(request, "blobs")), snapshot)

    return in_dialect(request, answer)


@login_not_required
@require_safe
def tree(
    request: HttpRequest, owner: str, name: str, revision: str, folder: str = ""
) -> HttpResponseBase:
    """The files and folders below a folder: `list_repo_tree`, `list_repo_files`."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        snapshot = visitor.snapshot(owner, name, revision)
        found = files_in(
            snapshot,
            folder.rstrip("/"),
            is_recursive=_says(request, "recursive"),
            with_commits=_says(request, "expand"),
        )
        return answered(found, snapshot)

    return in_dialect(request, answer)


@login_not_required
@csrf_exempt  # it writes nothing, and no cookie opens it
@require_POST
def paths_info(request: HttpRequest, owner: str, name: str, revision: str) -> HttpResponseBase:
    """What is known of some paths: `get_paths_info`. Those that are not there are left out."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        snapshot = visitor.snapshot(owner, name, revision)
        wanted = [path.strip("/") for path in request.POST.getlist("paths")]
        with_commits = request.POST.get("expand", "").lower() in TRUE
        return answered(paths_of(snapshot, wanted, with_commits=with_commits), snapshot)

    return in_dialect(request, answer)


@login_not_required
@require_safe
def resolve(
    request: HttpRequest, owner: str, name: str, revision: str, path: str
) -> HttpResponseBase:
    """The bytes of a file, or by HEAD what a client's cache wants to know of them."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        snapshot = visitor.snapshot(owner, name, revision)
        digits = snapshot.commit
        headers = {COMMIT: digits}
        if revision != digits:  # a name may mean something else tomorrow
            headers["Cache-Control"] = BRIEFLY
        artifact = visitor.open(snapshot, path).artifact
        filename = path.rpartition("/")[2]
        return artifact_response(request, artifact, filename=filename, headers=headers)

    return in_dialect(request, answer)


@login_not_required
@csrf_exempt
def no_such_repository(request: HttpRequest, **_: str) -> HttpResponseBase:
    """Models of the public hub without an owner in their name, and what are no models."""

    def answer(_: Visitor) -> HttpResponseBase:
        raise RepoNotFound("there is no such repository")

    return in_dialect(request, answer)


def _says(request: HttpRequest, name: str) -> bool:
    return request.GET.get(name, "").lower() in TRUE

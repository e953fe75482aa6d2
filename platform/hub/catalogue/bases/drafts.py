"""Base models that people bring: begin, announce files, send them, register. Each may happen twice.

An owner brings one for an approved organisation, whose quota it counts in; an operator for the hub.
Files travel as agents' uploads do, and each is looked into as soon as it is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.bases.facts import Facts
from hub.catalogue.bases.inspecting import (
    CONFIG,
    LICENCES,
    MOST_FILES,
    architecture_of,
    check_names,
    check_path,
    parameters_in,
)
from hub.catalogue.bases.licences import record_acceptance
from hub.catalogue.bases.registering import create_base, known_base
from hub.catalogue.blobs.artifacts import adopt_bytes, name_artifact
from hub.catalogue.blobs.parts import Part, drop_part, hashes, locked_part
from hub.catalogue.blobs.quotas import require_room
from hub.catalogue.blobs.storage import Readable, store
from hub.catalogue.blobs.uploads import check_disk
from hub.catalogue.errors import (
    BaseModelIncomplete,
    BaseModelRefused,
    DigestMismatch,
    DraftClosed,
    OffsetMismatch,
    PartTooLarge,
    TooManyUploads,
    UploadFinished,
    UploadTooLarge,
)
from hub.catalogue.models import Artifact, BaseModel, BaseModelDraft, DraftFile, DraftState
from hub.catalogue.selectors import artifacts_visible_to, require_draft, require_draft_file
from hub.catalogue.versions.commits import revision_of
from hub.common.errors import Forbidden
from hub.organisations.errors import NotApproved
from hub.organisations.models import Organisation, OrganisationState
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

DRAFTS_AT_A_TIME = 10  # of one person
IDLE = timedelta(hours=24)
SWEEP_BATCH = 50


@transaction.atomic
def begin_draft(*, user: User, organisation_id: UUID | None = None, **facts: Any) -> BaseModelDraft:
    """Announce a base model; its files come next. `facts`: those of `Facts`.

    Raises:
        NotFound, Forbidden: the person is no owner of the organisation, or no operator.
        NotApproved, BaseModelRefused, UnfitText, TooManyUploads: it cannot be.
    """
    organisation = _bringing(user, organisation_id)
    told = Facts.of(**facts)
    begun = BaseModelDraft.objects.filter(begun_by=user, state=DraftState.OPEN)
    if begun.count() >= DRAFTS_AT_A_TIME:
        raise TooManyUploads(
            _("%(DRAFTS_AT_A_TIME)s base models are on their way")
            % {"DRAFTS_AT_A_TIME": DRAFTS_AT_A_TIME},
            retry_after=60,
        )
    return BaseModelDraft.objects.create(
        facts={"slug": told.slug, **told.columns}, begun_by=user, organisation=organisation
    )


def _bringing(user: User, organisation_id: UUID | None) -> Organisation | None:
    if organisation_id is None:
        if not user.is_staff:
            raise Forbidden(_("Owners bring base models for an organisation of theirs."))
        return None
    organisation = require_permission(user, organisation_id, Permission.BRING_BASES).organisation
    if organisation.state != OrganisationState.APPROVED:
        raise NotApproved(
            _("%(name)s is %(state)s.")
            % {"name": organisation.name, "state": organisation.get_state_display()}
        )
    return organisation


@transaction.atomic
def announce_file(
    *, user: User, draft_id: UUID, path: str, sha256: str, size_bytes: int
) -> DraftFile:
    """Announce one file; announced again it goes on, with other content it begins anew.

    Content that the person could have read from us is there at once.

    Raises:
        NotFound, DraftClosed: the draft is not the person's, or takes no more.
        BaseModelRefused: a file of this name could hold code, or there are too many.
        UploadTooLarge, QuotaReached, StorageFull: there is no room; nothing was taken.
    """
    draft = _open_draft(user, draft_id)
    check_path(path)
    file = draft.files.filter(path=path).first()
    if file is not None and (file.sha256, file.size_bytes) == (sha256, size_bytes):
        return file
    _check_size(draft, path, size_bytes)
    if file is not None:
        _drop([file])
    file = draft.files.create(path=path, sha256=sha256, size_bytes=size_bytes)
    known = artifacts_visible_to(user).filter(pk=sha256, size_bytes=size_bytes).first()
    if size_bytes == 0:
        known = adopt_bytes(content=b"")
    if known is not None and known.sha256 == sha256:
        opened = partial(store().open, known.sha256)
        _keep(file, known, parameters_in(path, size_bytes, opened))
    return file


def _check_size(draft: BaseModelDraft, path: str, size_bytes: int) -> None:
    others = [file for file in draft.files.all() if file.path != path]
    if len(others) >= MOST_FILES:
        raise BaseModelRefused(_("more than %(MOST_FILES)s files") % {"MOST_FILES": MOST_FILES})
    total = size_bytes + sum(file.size_bytes for file in others)
    if total > settings.BASE_MODEL_LIMIT_BYTES:
        raise UploadTooLarge(
            _("a base model has at most %(BASE_MODEL_LIMIT_BYTES)s bytes")
            % {"BASE_MODEL_LIMIT_BYTES": settings.BASE_MODEL_LIMIT_BYTES}
        )
    require_room(size_bytes=size_bytes, organisation_id=draft.organisation_id)
    check_disk(size_bytes)


def append(*, user: User, file_id: UUID, offset: int, length: int, body: Readable) -> DraftFile:
    """Add a part of `length` bytes at the file's offset; the last one has it looked into.

    Raises:
        NotFound, DraftClosed, UploadFinished, OffsetMismatch: nothing is written.
        PartTooLarge, UploadTooLarge: more than one request may bring, or than was announced.
        DigestMismatch, BaseModelRefused: the whole is not what was announced, or may not be; the
            file begins anew.
    """
    if length > settings.UPLOAD_CHUNK_BYTES:
        raise PartTooLarge(
            _("send at most %(UPLOAD_CHUNK_BYTES)s bytes at a time")
            % {"UPLOAD_CHUNK_BYTES": settings.UPLOAD_CHUNK_BYTES}
        )
    with locked_part(require_draft_file(user, file_id).pk) as part:
        file = require_draft_file(user, file_id)
        if file.artifact_id and not length:
            return file
        _check_position(file, part, offset, length)
        received = part.receive(body, offset=offset, limit_bytes=length)
        _advance(file, offset + received.size_bytes)
        if received.running is not None:
            hashes.keep(file.pk, file.offset, received.running)
        if file.offset == file.size_bytes:
            _settle(file, part)
    return file


def _check_position(file: DraftFile, part: Part, offset: int, length: int) -> None:
    if file.artifact_id:
        raise UploadFinished(_("all bytes are in"))
    if file.draft.state != DraftState.OPEN:
        raise DraftClosed(
            _("%(draft)s is %(state)s")
            % {"draft": file.draft, "state": file.draft.get_state_display()}
        )
    if part.size_bytes < file.offset:  # a power cut took the rest
        _advance(file, part.size_bytes)
    if offset != file.offset:
        raise OffsetMismatch(_("go on at %(offset)s") % {"offset": file.offset}, offset=file.offset)
    if offset + length > file.size_bytes:
        raise UploadTooLarge(
            _("%(size_bytes)s bytes were announced") % {"size_bytes": file.size_bytes}
        )


def _advance(file: DraftFile, offset: int) -> None:
    file.offset = offset
    file.save(update_fields=["offset"])
    BaseModelDraft.objects.filter(pk=file.draft_id).update(touched_at=timezone.now())


def _settle(file: DraftFile, part: Part) -> None:
    """Hold the whole against what was announced, look into it, and store it."""
    try:
        _check_digest(file, part)
        found = parameters_in(file.path, file.size_bytes, lambda: part.path.open("rb"))
    except (DigestMismatch, BaseModelRefused):
        _advance(file, 0)
        drop_part(file.pk)
        raise
    store().put(part.path, file.sha256)
    hashes.forget(file.pk)
    with transaction.atomic():
        artifact = name_artifact(sha256=file.sha256, size_bytes=file.size_bytes)
        _keep(file, artifact, found)


def _check_digest(file: DraftFile, part: Part) -> None:
    if part.sha256(file.size_bytes) != file.sha256:
        raise DigestMismatch(_("the whole is not %(sha256)s") % {"sha256": file.sha256})


def _keep(file: DraftFile, artifact: Artifact, parameters: int) -> None:
    file.artifact, file.parameters, file.offset = artifact, parameters, artifact.size_bytes
    file.save(update_fields=["artifact", "parameters", "offset"])


@transaction.atomic
def register_draft(*, user: User, draft_id: UUID) -> BaseModel:
    """Make a base model of the files that came; registered twice is registered once.

    For the organisation that brings it the licence is accepted with this.

    Raises:
        NotFound, DraftClosed, BaseModelIncomplete, BaseModelRefused, BaseModelChanged.
    """
    draft = _locked(user, draft_id)
    if draft.base_model is not None:
        return draft.base_model
    _require_open(draft)
    files = {file.path: file for file in draft.files.select_related("artifact")}
    check_names(files)
    base = _registered(draft, files, _artifacts(files))
    if base.must_accept and draft.organisation is not None:
        record_acceptance(user=user, organisation=draft.organisation, base=base)
    data = {"base": base.name}
    draft.move_to(DraftState.REGISTERED, actor=user.actor, base_model=base, data=data)
    draft.files.all().delete()
    return base


def _artifacts(files: Mapping[str, DraftFile]) -> dict[str, Artifact]:
    missing = [path for path, file in files.items() if file.artifact is None]
    if missing:
        raise BaseModelIncomplete(
            _("%(missing)s files have not arrived, such as %(value)s")
            % {"missing": len(missing), "value": missing[0]}
        )
    return {path: file.artifact for path, file in files.items() if file.artifact is not None}


def _registered(
    draft: BaseModelDraft, files: Mapping[str, DraftFile], artifacts: Mapping[str, Artifact]
) -> BaseModel:
    facts = Facts.of(**draft.facts)
    digests = {path: artifact.sha256 for path, artifact in artifacts.items()}
    if known := known_base(facts.slug, revision_of(digests)):
        return known
    licence = next((name for name in LICENCES if name in artifacts), None)
    return create_base(
        files=artifacts,
        facts=facts.with_licence_of(_content(artifacts[licence]) if licence else b""),
        architecture=architecture_of(_content(artifacts[CONFIG])),
        parameters=sum(file.parameters for file in files.values()),
        brought_by=draft.organisation,
    )


def _content(artifact: Artifact) -> bytes:
    """Of a small file."""
    return store().local_path(artifact.sha256).read_bytes()


@transaction.atomic
def close_draft(*, user: User, draft_id: UUID) -> BaseModelDraft:
    """Give a base model up; its files are forgotten. Given up twice is given up once."""
    draft = _locked(user, draft_id)
    if draft.state != DraftState.CLOSED:
        draft.move_to(DraftState.CLOSED, actor=user.actor, data={"base": str(draft)})
        _drop(draft.files.all())
    return draft


@transaction.atomic
def sweep_drafts() -> int:
    """Give up what nobody has touched for a day; returns how many."""
    idle = BaseModelDraft.objects.select_for_update(skip_locked=True).filter(
        state=DraftState.OPEN, touched_at__lt=timezone.now() - IDLE
    )
    some = list(idle.order_by("touched_at")[:SWEEP_BATCH])
    for draft in some:
        draft.move_to(DraftState.CLOSED, reason="nothing came for a day")
        _drop(draft.files.all())
    return len(some)


def _drop(files: Any) -> None:
    for file in files:
        transaction.on_commit(partial(drop_part, file.pk), robust=True)
        file.delete()


def _locked(user: User, draft_id: UUID) -> BaseModelDraft:
    found = require_draft(user, draft_id)
    drafts = BaseModelDraft.objects.select_for_update(of=("self",))
    return drafts.select_related("organisation", "base_model").get(pk=found.pk)


def _open_draft(user: User, draft_id: UUID) -> BaseModelDraft:
    draft = _locked(user, draft_id)
    _require_open(draft)
    return draft


def _require_open(draft: BaseModelDraft) -> None:
    if draft.state != DraftState.OPEN:
        raise DraftClosed(
            _("%(draft)s is %(state)s") % {"draft": draft, "state": draft.get_state_display()}
        )

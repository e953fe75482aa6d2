"""Probe sets of a federation: taken in, chosen for a run, read again."""

from __future__ import annotations

import hashlib
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from federation.plan import Plan, canonical
from federation.probes import ProbeRefused, ProbeSet, misfit, read_probe
from hub.accounts.models import User
from hub.catalogue.blobs.artifacts import adopt_bytes, grant
from hub.catalogue.blobs.storage import store
from hub.catalogue.errors import ProbeSetRefused
from hub.catalogue.models import Artifact, Probe
from hub.common import text
from hub.common.wakeups import wake
from hub.federations.models import Federation
from hub.federations.selectors import federations_of, require_place
from hub.organisations.permissions import Permission

MOST_STATEMENT, MOST_LICENCE = 2000, 120


@transaction.atomic
def add_probe(
    *, user: User, federation_id: UUID, content: bytes, statement: str, licence: str
) -> Probe:
    """Make these examples the federation's probe set, for the runs that start from now on.

    Sent again while it is the one in use, nothing changes. The earlier ones stay.

    Raises:
        NotFound, Forbidden: the person does not act for the federation's lead.
        ProbeSetRefused, UnfitText: it is no probe set; nothing has changed.
    """
    place = require_place(user, federation_id, Permission.CURATE_VERSIONS)
    given = _read(content)
    said = {
        "statement": text.paragraphs(statement, least=1, most=MOST_STATEMENT),
        "licence": text.line(licence, least=1, most=MOST_LICENCE),
    }
    federation = Federation.objects.select_for_update(no_key=True).get(pk=federation_id)
    artifact = adopt_bytes(content=given.content())
    grant(artifacts=[artifact], federation=federation)
    before = current_probe(federation)
    if before is not None and _is_same(before, artifact, said):
        return before
    made = Probe.objects.create(
        federation=federation,
        number=before.number + 1 if before else 1,
        artifact=artifact,
        form=given.form,
        rows=len(given),
        labels=given.labels,
        uploaded_by=user,
        **said,
    )
    told = {"probe": made.number, "rows": made.rows, "organisation": place.organisation.name}
    federation.record("probe_added", actor=user.actor, data=told)
    wake(f"federation:{federation.pk}")
    return made


def _read(content: bytes) -> ProbeSet:
    try:
        return read_probe(content)
    except ProbeRefused as refused:
        raise ProbeSetRefused(refused.detail, code=refused.code) from refused


def _is_same(probe: Probe, artifact: Artifact, said: dict[str, str]) -> bool:
    there = {"statement": probe.statement, "licence": probe.licence}
    return probe.artifact_id == artifact.pk and there == said


def current_probe(federation: Federation) -> Probe | None:
    """The one in use: the newest."""
    return Probe.objects.filter(federation=federation).order_by("-number").first()


def probes_visible_to(user: User) -> QuerySet[Probe]:
    return Probe.objects.filter(federation__in=federations_of(user)).select_related(
        "federation", "artifact", "uploaded_by"
    )


def probe_for(federation: Federation, plan: Plan) -> tuple[Probe | None, str]:
    """What a run of this plan is measured on: the set in use, if the plan's model can read it.

    Else none, and why, in words; without a set there is nothing to say.
    """
    found = current_probe(federation)
    if found is None:
        return None, ""
    why = misfit(found.form, list(found.labels), plan)
    return (None, f"not measured on {found}, since {why}") if why else (found, "")


def content_of(probe: Probe) -> ProbeSet:
    """The examples, from the store. Raises ArtifactUnavailable."""
    return read_probe(store().local_path(probe.artifact_id).read_bytes())


def measured_as(plan: Plan) -> str:
    """A digest of all in a plan that a measurement depends on, besides adapter and examples."""
    parts = {
        "task": plan.task.model_dump(mode="json"),
        "adapter": plan.adapter.model_dump(mode="json"),
        "strategy": plan.aggregation.strategy,
        "seed": plan.seed,
        "precision": plan.training.precision,
        "base_weights": plan.training.base_weights,
    }
    return hashlib.sha256(canonical(parts)).hexdigest()

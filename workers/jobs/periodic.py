"""Sweeps: what was forgotten is asked for again, what is spent is cleared away."""

from __future__ import annotations

from hub.catalogue.bases.drafts import sweep_drafts
from hub.catalogue.bases.mirrors import sweep_mirrors
from hub.catalogue.blobs.sweeps import sweep_artifacts, sweep_store
from hub.catalogue.blobs.uploads import sweep_uploads
from hub.catalogue.versions.merging import evict_merged
from hub.common import switches
from hub.common.services import prune
from hub.contributions.cases.examining import examine_the_rest
from hub.contributions.rewards.granting import grant_what_is_due
from hub.contributions.rewards.paying import release_what_is_due
from hub.contributions.services import meter_the_rest
from hub.contributions.valuations.resuming import resume_valuations
from hub.dispatch import Job, sweep
from hub.federations.proposals.services import close_due
from hub.ledger.services import sign_the_rest
from hub.notices import sweeps as notices
from hub.operations.life import forget_old
from hub.organisations.services import (
    expire_invitations,
    prune_nonces,
    prune_registrations,
    sweep_letters,
)
from hub.runs import services
from jobs.app import app


@app.task(name=Job.RECONCILE.value)
def reconcile() -> None:
    """Send what was not sent, then ask again for what is due. Not while the hub is worked on."""
    if switches.present().is_in_maintenance:
        return
    sweep()
    services.reconcile()
    close_due()
    services.end_what_is_due()
    sign_the_rest()
    resume_valuations()
    meter_the_rest()
    examine_the_rest()
    grant_what_is_due()
    release_what_is_due()
    notices.look()


@app.task(name=Job.HOUSEKEEPING.value)
def housekeeping() -> None:
    """Clear what is spent, abandoned or named by nothing; send mails that were not sent."""
    if switches.present().is_in_maintenance:
        return
    prune()
    prune_nonces()
    forget_old()
    prune_registrations()
    expire_invitations()
    sweep_letters()
    sweep_uploads()
    sweep_drafts()
    sweep_mirrors()
    evict_merged()
    sweep_artifacts()
    sweep_store()
    notices.look_around()

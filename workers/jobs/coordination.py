"""Coordination of runs and agents: seconds, no tensors."""

from __future__ import annotations

from smtplib import SMTPException
from typing import Any

from hub.catalogue.errors import ModelKeyUnusable
from hub.common.errors import NotFound
from hub.dispatch import Job
from hub.federations import services as federations
from hub.ledger.signing import sign
from hub.organisations import services as organisations
from hub.runs import services
from jobs.app import app
from jobs.describing import describe, describe_released_of
from jobs.policies import PATIENT, identifier

# A mail server that is away is asked again, by the retries and then by housekeeping.
MAILING: dict[str, Any] = {
    **PATIENT,
    "autoretry_for": (*PATIENT["autoretry_for"], SMTPException, OSError),
}


@app.task(name=Job.ADVANCE_RUN.value, **PATIENT)
def advance_run(run_id: str) -> None:
    """Take a run's next step; delivered twice, the second finds nothing due."""
    services.advance_run(run_id=identifier(run_id))


@app.task(name=Job.ADVANCE_FEDERATION.value, **PATIENT)
def advance_federation(federation_id: str) -> None:
    """Let a federation's runs go on that wait for signatures; twice, none waits any more."""
    services.advance_federation(federation_id=identifier(federation_id))


@app.task(name=Job.COMMIT_VERSION.value, **PATIENT | {"throws": (NotFound, ModelKeyUnusable)})
def commit_version(version_id: str) -> None:
    """Write what is on record of a version now; delivered twice, the second finds it written."""
    describe(identifier(version_id))


@app.task(name=Job.DESCRIBE_RELEASED.value, **PATIENT | {"throws": (NotFound, ModelKeyUnusable)})
def describe_released(federation_id: str) -> None:
    """Have a released version say what is said now; delivered twice, the second finds it said."""
    describe_released_of(identifier(federation_id))


@app.task(name=Job.SIGN_LEDGER.value, **PATIENT)
def sign_ledger(ledger: str) -> None:
    """Sign all entries of a ledger; delivered twice, the second finds them signed."""
    sign(ledger=identifier(ledger))


@app.task(name=Job.RETIRE_AGENT.value, **PATIENT)
def retire_agent(agent_id: str) -> None:
    """Take from an agent that is gone what it held; delivered twice, it holds nothing."""
    services.retire_agent(agent_id=identifier(agent_id))


@app.task(name=Job.END_WORK.value, **PATIENT)
def end_work(participation_id: str) -> None:
    """Take back what an organisation holds of a federation; delivered twice, it holds nothing."""
    services.end_work(participation_id=identifier(participation_id))


@app.task(name=Job.END_RUNS.value, **PATIENT)
def end_runs(federation_id: str) -> None:
    """Cancel the runs of a dissolved federation; delivered twice, none is left."""
    services.end_runs(federation_id=identifier(federation_id))


@app.task(name=Job.TELL_KEYS.value, **PATIENT)
def tell_keys(agent_id: str) -> None:
    """Write an agent's keys to its federations' ledgers; delivered twice, they are there."""
    federations.tell_keys(agent_id=identifier(agent_id))


@app.task(name=Job.SEND_LETTER.value, **MAILING)
def send_letter(letter_id: str) -> None:
    """Send a mail that is written down; delivered twice, the second finds it sent."""
    organisations.send_letter(letter_id=identifier(letter_id))

"""The agent's own Celery worker: one process and one queue per device, one task at a time.

The message is a task id and nothing else: what is to be done stands in the journal, so a message
that comes twice or never does no harm. Training happens in this process (`-P solo`), because torch
does not survive a fork.
"""

from __future__ import annotations

import logging
import os
import warnings
from uuid import UUID

from celery import Celery

from agent import logs
from agent.devices import note_device
from agent.execution import execute as perform
from agent.home import Home

logger = logging.getLogger(__name__)

BROKER, DEVICE = "AGENT_BROKER_URL", "AGENT_DEVICE"
EXECUTE = "agent.execute"

# Before anything imports torch. Several busy agents on one machine with two threads each were
# thirteen times slower than with one.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

# Celery believes these more than what its application is given.
OVERRULING = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")


def queue_of(device: str) -> str:
    return f"agent.{device}"


def make_app(broker_url: str) -> Celery:
    """The Celery application, for the worker and for the poller that sends to it."""
    for name in OVERRULING:
        os.environ.pop(name, None)
    # Without fixups: Celery would load Django wherever its settings are in the environment.
    app = Celery("foedus-agent", broker=broker_url, fixups=[])
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 7 * 86400},
    )
    return app


app = make_app(os.environ.get(BROKER, "redis://"))


@app.task(name=EXECUTE)
def execute(task_id: str) -> None:
    """Do a journalled task; see `agent.execution`."""
    try:
        perform(Home.found(), UUID(task_id), device=os.environ.get(DEVICE, "auto"))
    except Exception as error:  # noqa: BLE001 (the edge of the process)
        # Celery would log the message, which may quote what must not leave.
        logger.error("task not done", extra={"kind": type(error).__name__})  # noqa: TRY400


def main() -> None:
    """Run the worker of this machine's device until told to stop."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logs.configure()
    # As root: what Celery warns of is unpickling, and we take JSON only.
    warnings.filterwarnings("ignore", module="celery.platforms")
    device = os.environ.get(DEVICE, "auto")
    _warm_up(device)
    # Not by its command line, which takes the broker from variables of other programs.
    app.Worker(
        pool_cls="solo",
        queues=[queue_of(device)],
        loglevel=logging.ERROR,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


def _warm_up(device: str) -> None:
    """Import the heavy libraries while there is nothing to do, so that a task begins at once."""
    import federation.modelling.evaluation
    import federation.modelling.training  # noqa: F401 (kept in memory)

    note_device(Home.found(), device)
    logger.info("worker ready")


if __name__ == "__main__":
    main()

"""The agent's own Celery worker: one process and one queue per device, one task at a time.

The message is a task id and nothing else: what is to be done stands in the journal, so a message
that comes twice or never does no harm. This process takes messages, watches and computes nothing:
each task is done in a process of its own, see `agent.apart`.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from uuid import UUID

from celery import Celery

from agent import logs
from agent.apart import Stage
from agent.devices import note_device
from agent.errors import AgentFault
from agent.execution import execute as perform
from agent.home import Home
from agent.roster import Post, name_of

logger = logging.getLogger(__name__)

BROKER, DEVICE = "AGENT_BROKER_URL", "AGENT_DEVICE"
EXECUTE = "agent.execute"

# Before anything imports torch. Several busy agents on one machine with two threads each were
# thirteen times slower than with one. CUDA is asked for without opening it, for the sake of forks.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}

# Celery believes these more than what its application is given.
OVERRULING = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")


def prefix_of(agent: UUID) -> str:
    """What every key of an agent begins with on a Redis that it shares; its queues, too."""
    return f"agent.{agent}."


def make_app(broker_url: str, agent: UUID) -> Celery:
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
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": 7 * 86400,
            "global_keyprefix": prefix_of(agent),
        },
    )
    return app


def main() -> None:
    """Run the worker of one of this machine's devices until told to stop."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logs.configure()
    # As root: what Celery warns of is unpickling, and we take JSON only.
    warnings.filterwarnings("ignore", module="celery.platforms")
    home, device = Home.found(), os.environ.get(DEVICE, "auto")
    try:
        app = make_app(os.environ.get(BROKER, "redis://"), home.identity().agent)
        with Post.of(home, name_of(device)).manned(), Stage(load_libraries) as stage:
            _work(app, stage, home, device)
    except AgentFault as fault:
        sys.exit(str(fault))


def _work(app: Celery, stage: Stage, home: Home, device: str) -> None:
    """Take messages. Not by Celery's command line, which may take the broker from elsewhere."""
    name = name_of(device)
    looking = stage.begin(partial(note_device, home, device, name))
    looking.join()
    if looking.exitcode:
        logger.error("device not usable", extra={"device": device})
    logger.info("worker ready", extra={"worker": name})
    app.task(name=EXECUTE)(_executing(stage, home, device))
    app.Worker(
        pool_cls="solo",
        hostname=name,
        queues=[name],
        loglevel=logging.ERROR,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


def _executing(stage: Stage, home: Home, device: str) -> Callable[[str], None]:
    def execute(task_id: str) -> None:
        """Have a journalled task done; see `agent.execution`."""
        try:
            task = UUID(task_id)
            stage.attend(home, task, partial(perform, home, task, device=device))
        except Exception as error:  # noqa: BLE001 (the edge of the process)
            # Celery would log the message, which may quote what must not leave.
            logger.error("task not done", extra={"kind": type(error).__name__})  # noqa: TRY400

    return execute


def load_libraries() -> None:
    """Import what is heavy while there is nothing to do, so that a task begins at once."""
    import federation.codings
    import federation.modelling.evaluation
    import federation.modelling.training  # noqa: F401 (kept in memory)


if __name__ == "__main__":
    main()

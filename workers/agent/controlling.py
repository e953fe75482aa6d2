"""What an agent remembers of its own gradients between rounds, where the plan has it do so.

A control variate (`federation.optimisers.scaffold`) stays at the site, under the digest of the
statement of the update that it was made with. The hub says which one goes with its own: that of
the site's last update which counted. So an update that was not taken changes nothing, a task that
is begun again makes the same file again, and a run that goes on from an earlier version finds what
was then.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import TaskFailed
from agent.files import made, settle, sync_file
from agent.home import Home
from agent.journal import Entry
from federation.layout import LayoutRefused
from federation.plan import canonical
from federation.plan_server import CONTROLLED
from federation.protocol import TrainSpec, UpdateStatement
from federation.terms import TERMS

if TYPE_CHECKING:
    from agent.tasks.base import Work
    from federation.controls import Site

logger = logging.getLogger(__name__)

KEPT_RUNS, KEPT_ROUNDS = 16, 4


@dataclass(frozen=True, slots=True)
class Memory:
    """The control variates of one task.

    `is_lost`: the site has not the one that it was to go on from. Then it trains without any, and
    its statement says so; the hub has all sites begin anew.
    """

    home: Home
    entry: Entry
    spec: TrainSpec
    site: Site
    is_lost: bool

    def correction(self) -> Path | None:
        """What is added to each gradient; None in a first round."""
        if self.site.server is None:
            return None
        target = self.entry.folder / "correction.safetensors"
        self.site.write_correction(target)
        return target

    def keep(self, statement: UpdateStatement) -> None:
        """Remember what the update makes of the site's control variate, for good."""
        plan, offer = self.spec.plan, self.entry.offer
        from federation.rates import Rates

        target = self.entry.folder / "control.safetensors"
        self.site.write_control(
            update=self.entry.update_file,
            rank=self.spec.rank,
            codec=plan.transfer.codec,
            travels=plan.aggregation.travels(offer.round),
            rates=Rates.of(plan.training),
            steps=statement.steps,
            target=target,
        )
        sync_file(target)
        folder = made(_folder(self.home) / str(offer.run))
        digest = sha256(canonical(statement.model_dump(mode="json"))).hexdigest()
        settle(target, folder / f"{digest}.safetensors")
        for file in _oldest(folder.iterdir(), KEPT_ROUNDS):
            file.unlink(missing_ok=True)
        _prune(self.home)


def memory_of(work: Work, spec: TrainSpec, start: Path) -> Memory | None:
    """What a task goes on from, if its plan asks for control variates; `start` is the task's own.

    Raises TaskFailed where the hub's control variate is none for this adapter.
    """
    if spec.plan.server.optimiser != CONTROLLED:
        return None
    from federation.controls import Site

    trained = TERMS[spec.plan.aggregation.strategy].trained
    server = work.fetcher.artifact(spec.control) if spec.control else None
    try:
        Site(start, trained, server, None).check()
    except LayoutRefused as refused:
        raise TaskFailed(refused.code, "the hub's control variate does not fit") from refused
    if spec.control_after is None:
        return Memory(work.home, work.entry, spec, Site(start, trained, server, None), False)
    own = _known(work.home, spec.control_after)
    site = Site(start, trained, server, own)
    if own is None or not _is_sound(site):
        logger.warning("the control variate is lost", extra={"task": str(work.entry.offer.id)})
        return Memory(work.home, work.entry, spec, Site(start, trained, None, None), True)
    return Memory(work.home, work.entry, spec, site, False)


def _known(home: Home, statement: str) -> Path | None:
    """Of whatever run it was: one may go on from another's version."""
    found = next(_folder(home).glob(f"*/{statement}.safetensors"), None)
    if found:
        os.utime(found)
        os.utime(found.parent)
    return found


def _is_sound(site: Site) -> bool:
    try:
        site.check()
    except LayoutRefused:
        return False
    return True


def _folder(home: Home) -> Path:
    return made(home.folder / "controls")


def _oldest(paths: Iterable[Path], kept: int) -> list[Path]:
    """All but so many that were used last."""
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)[kept:]


def _prune(home: Home) -> None:
    """Keep the runs that were last heard of."""
    for folder in _oldest(_folder(home).iterdir(), KEPT_RUNS):
        shutil.rmtree(folder, ignore_errors=True)

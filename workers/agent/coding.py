"""The update in the form in which the plan wants it sent, and what its codec has lost of it.

A residual counts only once the hub has the update that it belongs to: until the receipt is here it
lies with the task, and afterwards it takes the place of the run's last one. A task that is begun
again, or whose update was not taken, begins with the same residual as before.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from agent.errors import TaskFailed
from agent.files import made, settle, sync_file
from agent.home import Home
from agent.journal import Entry
from federation.coded import PLAIN, has_feedback
from federation.layout import LayoutRefused
from federation.protocol import TrainSpec

KEPT_RUNS = 16


def trained_file(entry: Entry) -> Path:
    """Where training writes: what is sent as it is, or what is coded after it."""
    assert isinstance(entry.offer.spec, TrainSpec)
    is_plain = entry.offer.spec.plan.transfer.codec == PLAIN
    return entry.update_file if is_plain else entry.folder / "trained.safetensors"


def encode(home: Home, entry: Entry, spec: TrainSpec, start: Path) -> None:
    """Make the file that is sent, for good; `start` is cut to the update's rank.

    Raises TaskFailed where the trained weights hold NaN or infinity.
    """
    trained, codec = trained_file(entry), spec.plan.transfer.codec
    if codec != PLAIN:
        from federation.codings import Feedback, encode_update
        from federation.strategies import keeps_basis

        aggregation, feedback = spec.plan.aggregation, None
        if has_feedback(codec):
            lasts = keeps_basis(aggregation.strategy)
            feedback = Feedback(_known(home, entry), _residual(entry), lasts)
        target = entry.update_file
        try:
            encode_update(
                start=start,
                update=trained,
                codec=codec,
                target=target,
                feedback=feedback,
                travels=aggregation.travels(entry.offer.round),
            )
        except LayoutRefused as refused:
            raise TaskFailed(refused.code, "the trained weights cannot be coded") from refused
        if feedback:
            sync_file(feedback.left)
        trained.unlink()
    sync_file(entry.update_file)


def keep_residual(home: Home, entry: Entry) -> None:
    """The hub has the update: what is missing of it goes out with the run's next one."""
    residual = _residual(entry)
    if residual.exists():
        settle(residual, _kept(home, entry.offer.run))
        _prune(home)


def _known(home: Home, entry: Entry) -> Path | None:
    kept = _kept(home, entry.offer.run)
    return kept if kept.exists() else None


def _kept(home: Home, run: UUID) -> Path:
    """An agent takes part in a run for one organisation, so the run says it all."""
    return made(home.folder / "residuals") / f"{run}.safetensors"


def _residual(entry: Entry) -> Path:
    return entry.folder / "residual.safetensors"


def _prune(home: Home) -> None:
    """Keep those of the runs that were last heard of."""
    files = (home.folder / "residuals").glob("*.safetensors")
    by_use = sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)
    for path in by_use[KEPT_RUNS:]:
        path.unlink(missing_ok=True)

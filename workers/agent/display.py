"""A progress bar for each task, for whoever watches `foedus-agent run` on a terminal."""

from __future__ import annotations

import asyncio

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from agent import logs
from agent.home import Home
from agent.journal import Entry, Journal

LOOK_SECONDS = 0.25


async def show_progress(home: Home) -> None:
    """Show what the journal holds, until cancelled; without a terminal, do nothing."""
    if not logs.is_watched():
        return
    journal = Journal(home.tasks)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(),
        console=logs.terminal,
        transient=True,
    ) as bars:
        shown: dict[str, TaskID] = {}
        while True:
            update(bars, shown, journal.entries())
            await asyncio.sleep(LOOK_SECONDS)


def update(bars: Progress, shown: dict[str, TaskID], entries: list[Entry]) -> None:
    """Give every open task its bar as it stands now, and take those of the others away."""
    current = {str(entry.offer.id): entry for entry in entries}
    for name in shown.keys() - current.keys():
        bars.remove_task(shown.pop(name))
    for name, entry in current.items():
        if name not in shown:
            shown[name] = bars.add_task("", total=1, facts="")
        progress = entry.progress
        phase = "sending" if entry.outcome else progress.phase
        loss = f"loss {progress.loss:.4f}" if progress.loss is not None else ""
        bars.update(
            shown[name],
            description=f"{entry.offer.federation}, round {entry.offer.round}: {phase}",
            completed=progress.step,
            total=max(progress.steps, 1),
            facts=loss,
        )

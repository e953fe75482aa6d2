from __future__ import annotations

import asyncio
import io
import json
import logging
import sys

import pytest
from rich.console import Console
from rich.progress import Progress, TaskID

from agent import logs
from agent.display import show_progress, update
from agent.home import Home
from agent.journal import Entry
from federation.protocol import Progress as Standing


def test_each_task_has_a_bar_for_as_long_as_it_is_open(entry: Entry) -> None:
    entry.keep_progress(Standing(phase="training", step=3, steps=10, loss=0.5))
    shown: dict[str, TaskID] = {}
    bars = Progress(console=Console(file=io.StringIO()))
    update(bars, shown, [entry])
    (bar,) = bars.tasks
    assert (bar.completed, bar.total, bar.fields["facts"]) == (3, 10, "loss 0.5000")
    assert bar.description == "coast, round 1: training"
    update(bars, shown, [])
    assert not bars.tasks


def test_bars_are_drawn_on_a_terminal(
    home: Home, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(logs, "is_watched", lambda: True)
    monkeypatch.setattr(logs, "terminal", Console(file=screen, force_terminal=True, width=100))

    async def watched() -> None:
        task = asyncio.create_task(show_progress(home))
        await asyncio.sleep(0.6)
        task.cancel()

    asyncio.run(watched())
    assert "coast, round 1: fetching" in screen.getvalue()


def test_without_a_terminal_there_is_no_bar(home: Home) -> None:
    asyncio.run(show_progress(home))


def record(**fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": "task leased", "levelname": "INFO", **fields})


def test_events_are_json_for_machines_and_words_for_people() -> None:
    said = json.loads(logs.JsonFormatter().format(record(round=3)))
    assert (said["event"], said["level"], said["round"]) == ("task leased", "INFO", 3)
    assert said["at"].endswith("Z")
    assert logs.WordFormatter().format(record(round=3)).endswith("INFO task leased round=3")


@pytest.mark.parametrize("is_watched", [True, False])
def test_who_watches_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, is_watched: bool
) -> None:
    before = logging.getLogger().handlers[:]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_watched, raising=False)
    try:
        logs.configure()
        logging.getLogger("agent.test").info("hub [away]", extra={"cause": "x"})
        told = capsys.readouterr().err
    finally:
        logging.getLogger().handlers[:] = before
    assert "hub [away]" in told
    assert told.startswith("{") is not is_watched

from __future__ import annotations

import os
import threading

import pytest

from agent.errors import Cancelled
from agent.home import Home
from agent.journal import Entry, Journal, Outcome
from agent.progress import Reporter
from federation.modelling import Step
from federation.protocol import FailureIn


def test_an_offer_is_read_back_as_it_was(home: Home, entry: Entry) -> None:
    (again,) = Journal(home.tasks).entries()
    assert again.offer == entry.offer
    assert Journal(home.tasks).entry(entry.offer.id) == entry


def test_a_closed_entry_leaves_nothing(home: Home, entry: Entry) -> None:
    entry.close()
    assert entry.is_cancelled
    assert Journal(home.tasks).entry(entry.offer.id) is None
    assert list(home.tasks.iterdir()) == []


def test_what_a_crash_left_half_closed_is_swept(home: Home, entry: Entry) -> None:
    (entry.folder / "offer.json").unlink()
    journal = Journal(home.tasks)
    assert journal.entries() == []
    assert entry.folder.exists()
    journal.sweep()
    assert list(home.tasks.iterdir()) == []


def test_of_a_task_that_was_handed_back_the_checkpoint_stays_for_a_day(
    home: Home, entry: Entry
) -> None:
    journal = Journal(home.tasks)
    entry.checkpoint_file.write_bytes(b"half way")
    entry.cancel()
    journal.set_aside(entry)
    journal.sweep()
    assert journal.entries() == []
    again = journal.open(entry.offer)
    assert (again.checkpoint_file.read_bytes(), again.is_cancelled) == (b"half way", False)
    journal.set_aside(again)
    (kept,) = (home.tasks / ".aside").iterdir()
    os.utime(kept, (0, 0))
    journal.sweep()
    assert not journal.open(entry.offer).checkpoint_file.exists()


def test_what_was_handed_back_before_its_first_checkpoint_leaves_nothing(
    home: Home, entry: Entry
) -> None:
    Journal(home.tasks).set_aside(entry)
    assert not [path for path in home.tasks.rglob("*") if path.is_file()]


def test_one_worker_at_a_time_is_on_a_task(entry: Entry) -> None:
    with entry.worked_on() as first, entry.worked_on(seconds=0.05) as second:
        assert (first, second) == (True, False)
        assert entry.is_worked_on
    assert not entry.is_worked_on


def test_looking_at_the_lock_turns_no_worker_away(entry: Entry) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            assert entry.is_worked_on in {True, False}

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(50):
        with entry.worked_on() as ours:
            assert ours
    stop.set()
    looking.join()


def test_an_outcome_and_a_session_survive(entry: Entry) -> None:
    failure = FailureIn(fence=1, code="no_data", retry=False)
    assert entry.outcome is None
    entry.decide(Outcome(failure=failure))
    assert entry.outcome == Outcome(failure=failure)
    assert [entry.begin_attempt() for _ in range(3)] == [1, 2, 3]


def test_progress_is_numbers_and_never_infinite(entry: Entry) -> None:
    reporter = Reporter(entry)
    step = Step(3, 10, float("nan"), 0.1, None)
    reporter.step("training", step, part=1, parts=2)
    assert (entry.progress.step, entry.progress.steps) == (13, 20)
    assert entry.progress.loss is None


def test_a_report_of_a_cancelled_task_stops_it(entry: Entry) -> None:
    entry.cancel()
    with pytest.raises(Cancelled):
        Reporter(entry).step("training", Step(0, 1, None, 0.1, None))
    entry.resume()
    Reporter(entry).enter("training")

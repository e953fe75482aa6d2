"""The services below are lost in the middle of a run, and come back: the result is the same."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice, product
from threading import Event, Thread
from uuid import UUID, uuid4

import psycopg
import pytest
import redis
from celery import Celery
from django.conf import settings

from hub.dispatch import Job
from hub.operations.processes import commands
from tests.system.plays import Plays
from tests.system.processes import wait_until
from tests.system.stack import Stack

pytestmark = pytest.mark.system

FLUSHED, WITHOUT_REDIS, WITHOUT_POSTGRES, REPEATED, DARK, FROZEN, TWO_BEATS, FORGED = range(10, 18)


def test_redis_forgets_everything_again_and_again(stack: Stack, plays: Plays) -> None:
    client = redis.Redis.from_url(stack.urls.redis_url)
    with client, repeatedly(client.flushall):
        digest = plays.play("round", FLUSHED)
    assert digest == plays.undisturbed("round", FLUSHED)


def test_redis_is_killed(stack: Stack, plays: Plays) -> None:
    def lose(run: UUID) -> None:
        for states in (("leased",), ("completed",)):
            wait_for_tasks(stack, run, *states)
            stack.service("redis-server").kill()

    digest = plays.play("round", WITHOUT_REDIS, meanwhile=lose)
    assert digest == plays.undisturbed("round", WITHOUT_REDIS)


def test_postgresql_is_killed(stack: Stack, plays: Plays) -> None:
    def lose(run: UUID) -> None:
        wait_for_tasks(stack, run, "leased", "completed")
        stack.service("postgres").kill()
        wait_until(lambda: answers(stack), what="PostgreSQL does not come back")

    digest = plays.play("round", WITHOUT_POSTGRES, meanwhile=lose)
    assert digest == plays.undisturbed("round", WITHOUT_POSTGRES)


def test_every_message_is_delivered_many_times(stack: Stack, plays: Plays) -> None:
    last = stack.value("SELECT max(id) FROM common_outboxmessage") or 0

    def again() -> None:
        stack.change("UPDATE common_outboxmessage SET sent_at = NULL WHERE id > %s", last)

    with repeatedly(again):
        run = plays.start("round", REPEATED)
        stack.wait_for_end(run)
    digest = plays.finish(run, "round")
    assert digest == plays.undisturbed("round", REPEATED)


def test_forged_messages_are_dropped(stack: Stack, plays: Plays) -> None:
    """T23: whoever reaches the broker names rows that do not exist, and jobs that nobody has."""
    nothing: tuple[object, ...] = (str(uuid4()), "../../etc/passwd", "", 7, None, ["x"])
    naming = [job for job in Job if not job.startswith("periodic.")]
    with Celery("intruder", broker=stack.urls.broker_url) as intruder:
        intruder.conf.update(
            task_default_queue="default", task_routes=settings.CELERY["task_routes"]
        )
        for job, name in islice(cycle(product(naming, nothing)), 300):
            intruder.send_task(job, args=[name])
    digest = plays.play("last", FORGED)
    assert digest == plays.undisturbed("last", FORGED)
    for name in ("worker", "compute"):
        log = (stack.folder / "hub" / "logs" / f"{name}.log").read_text()
        assert "a message names nothing that could exist" in log
        after = log.split("a message names nothing that could exist", 1)[1]
        assert [line for line in after.splitlines() if "Traceback" in line] == []


def test_all_processes_of_the_hub_are_killed_at_once(stack: Stack, plays: Plays) -> None:
    def power_cut(run: UUID) -> None:
        wait_for_tasks(stack, run, "completed")
        for name in ("web", "worker", "compute", "beat"):
            stack.supervisor.kill(name)

    digest = plays.play("last", DARK, meanwhile=power_cut)
    assert digest == plays.undisturbed("last", DARK)


@pytest.mark.parametrize("point", ["W12:after", "W13:before"], ids=["computing", "publishing"])
def test_a_frozen_worker_is_overtaken_and_then_writes_nothing(
    stack: Stack, plays: Plays, point: str
) -> None:
    seed = FROZEN + 1000 * (point == "W13:before")  # the hundreds are those of `points`
    assert plays.origin
    stack.supervisor.arm("compute", f"{point}:1:STOP")
    with another(stack, "compute"):
        run = plays.start("last", seed)
        wait_until(lambda: stack.supervisor.has_fallen("compute"), what="it does not freeze")
        fence = fence_of(stack, run)
        wait_until(lambda: fence_of(stack, run) > fence, what="nobody takes over")
        stack.wait_for_end(run, seconds=120)
        stack.supervisor.disarm("compute")
        stack.supervisor.kill("compute", signal.SIGCONT)
        digest = plays.finish(run, "last")
    assert digest == plays.undisturbed("last", seed)


def test_two_beats_ask_no_more_than_one(stack: Stack, plays: Plays) -> None:
    with another(stack, "beat"):
        digest = plays.play("last", TWO_BEATS)
    stack.supervisor.kill("beat")
    assert digest == plays.undisturbed("last", TWO_BEATS)


def test_a_question_is_asked_of_a_version_and_leaves_no_trace(stack: Stack, plays: Plays) -> None:
    """By web, Redis, compute worker and back within one request, which the wake-up ends."""
    words = "canary-5f1c0e77 wave salt"
    ada = stack.ada
    replies = [ada.post(f"/versions/{plays.origin}/try?wait=25", {"text": words}) for _ in range(2)]
    first, again = (reply["version"]["guesses"] for reply in replies)
    assert first == again
    assert sum(guess["share"] for guess in first[0]) == pytest.approx(1)
    for log in (stack.folder / "hub" / "logs").iterdir():
        assert "canary-5f1c0e77" not in log.read_text(), log.name
    for row in stack.sql("SELECT m::text FROM common_outboxmessage m ORDER BY id DESC LIMIT 20"):
        assert "canary" not in str(row)


@contextmanager
def repeatedly(work: Callable[[], object], *, every: float = 0.2) -> Iterator[None]:
    """Do it again and again while the block lasts."""
    over = Event()

    def loop() -> None:
        while not over.wait(every):
            work()

    thread = Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def another(stack: Stack, name: str) -> Iterator[None]:
    """Have a second process of a kind while the block lasts."""
    argv = [word.replace(f"{name}@", f"{name}-2@") for word in commands()[name]]
    log = stack.folder / "hub" / "logs" / f"{name}-2.log"
    stack.supervisor.start(f"{name}-2", argv, env=stack.environment, log=log)
    try:
        yield
    finally:
        stack.supervisor.stop(f"{name}-2")


def wait_for_tasks(stack: Stack, run: UUID, *states: str) -> None:
    query = """SELECT count(*) FROM runs_task t JOIN runs_round r ON r.id = t.round_id
               WHERE r.run_id = %s AND t.state = ANY(%s)"""
    wait_until(lambda: stack.value(query, run, list(states)), what=f"no task is {states}")


def fence_of(stack: Stack, run: UUID) -> int:
    query = "SELECT fence FROM runs_round WHERE run_id = %s AND number = 1"
    fence: int = stack.value(query, run)
    return fence


def answers(stack: Stack) -> bool:
    try:
        return bool(stack.value("SELECT 1"))
    except psycopg.OperationalError:
        return False

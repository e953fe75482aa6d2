"""A hub that is closed for a while, in the middle of a run, for longer than a lease lasts."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from tests.system.plays import Plays
from tests.system.processes import wait_until
from tests.system.stack import QUICK, Stack, done

pytestmark = pytest.mark.system

LEASED = "SELECT count(*) FROM runs_task t JOIN runs_round r ON r.id = t.round_id WHERE r.run_id = %s AND t.state = 'leased'"
HAPPENED = "SELECT kind FROM common_event WHERE run_id = %s ORDER BY id"
CLOSED_SECONDS = 2 * float(QUICK["LEASE_SECONDS"])


def maintenance(stack: Stack, *words: str) -> str:
    command = ["-m", "django", "maintenance", *words, "--reason", "the disks are exchanged"]
    return done(command, {**stack.environment, "DJANGO_SETTINGS_MODULE": "hub.settings"})


def test_meanwhile_nothing_is_written_or_lost_and_then_it_goes_on(
    stack: Stack, plays: Plays
) -> None:
    expected = plays.undisturbed("last", 0)

    def closed_for_a_while(run: UUID) -> None:
        wait_until(lambda: stack.value(LEASED, run), what="nobody trains")
        assert "Only operators write" in maintenance(stack, "on", "--note", "New disks.")
        try:
            time.sleep(1)  # what was being answered is
            before = stack.sql(HAPPENED, run)
            written = stack.ada.http.post(f"/runs/{run}/cancel", json={})
            assert (written.status_code, written.json()["detail"]) == (503, "New disks.")
            assert int(written.headers["Retry-After"]) > 0
            assert stack.ada.http.get(f"/runs/{run}").status_code == 200
            time.sleep(CLOSED_SECONDS)
            assert stack.sql(HAPPENED, run) == before
        finally:
            maintenance(stack, "off")

    assert plays.play("last", 0, meanwhile=closed_for_a_while) == expected

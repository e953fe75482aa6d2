"""Each check says how it is, what that means and what to do; none stops the others."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent import cli
from agent.checks import Finding, Site, State, checks, machine
from agent.commands.shared import Exit
from agent.doctor import examine
from agent.home import Home
from agent.roster import Post
from federation.protocol import BaseModelRef
from tests.agent import tiny
from tests.agent.checkup import LIGHT, examine_only, lines_of, mapped, place, worst
from tests.agent.fake_hub import FakeHub


def test_a_healthy_site_has_no_problem(quiet_hub: FakeHub, home: Home, tmp_path: Path) -> None:
    place(quiet_hub)
    mapped(home, tmp_path)
    lines = list(examine_only(home, *LIGHT))
    assert {line.check for line in lines} == set(LIGHT) - {"workers"}  # nothing runs
    assert not [line for line in lines if line.state == State.PROBLEM], lines
    assert all(line.do for line in lines if line.state != State.OK)


def test_a_folder_without_an_agent_is_told_to_enrol(tmp_path: Path) -> None:
    lines = list(examine_only(Home.found(tmp_path), *LIGHT))
    assert {"identity", "hub", "clock"} <= {one.check for one in lines if one.state == "problem"}
    assert "foedus-agent enrol" in next(line.says for line in lines if line.check == "identity")


def test_what_others_can_read_is_a_problem(home: Home) -> None:
    home.folder.chmod(0o755)
    assert worst(home, "key file")[2].startswith("chmod 700")
    home.folder.chmod(0o700)
    home.key_file.chmod(0o644)
    assert worst(home, "key file")[2].startswith("chmod 600")
    assert worst(home, "identity")[0] == State.PROBLEM


def test_a_key_wants_to_be_renewed(home: Home) -> None:
    old = time.time() - 100 * 86_400
    os.utime(home.key_file, (old, old))
    assert "100 days" in worst(home, "key file")[1]
    home.next_key()
    assert any("rotate-key" in line.do for line in lines_of(home, "key file"))


class Usage:
    free = 5000


def test_disk_and_memory_are_held_against_the_base_model(
    quiet_hub: FakeHub, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(quiet_hub, base_bytes=2**52)
    mapped(home, tmp_path)
    assert worst(home, "disk")[0] == State.PROBLEM
    assert worst(home, "memory")[0] == State.PROBLEM
    quiet_hub.places.clear()
    assert worst(home, "disk")[0] == State.OK
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage)
    assert worst(home, "disk")[0] == State.PROBLEM


def test_a_base_model_is_here_or_can_be_fetched(
    quiet_hub: FakeHub, home: Home, tmp_path: Path
) -> None:
    place(quiet_hub)
    mapped(home, tmp_path)
    assert "will be fetched" in worst(home, "base models")[1]
    quiet_hub.fail_next("POST .*/download-tokens", status=404, code="not_found")
    assert worst(home, "base models")[0] == State.PROBLEM
    base = BaseModelRef(repo=tiny.BASE_REPO, revision=tiny.REVISION)
    fetcher = machine.Fetcher(home, lambda: None)
    (home.cache / "hub").mkdir()
    fetcher._note(base).write_text("hub")
    assert "is here" in worst(home, "base models")[1]


def test_what_runs_is_looked_at(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert worst(home, "agent")[0] == State.WARNING
    assert worst(home, "broker")[0] == State.OK
    with home.locked():
        assert worst(home, "agent")[0] == State.OK
        assert worst(home, "workers")[0] == State.PROBLEM
        home.pause_file.touch()
        assert "resume" in worst(home, "agent")[2]
        near, far = Post.of(home, "cuda:0@gpu1"), Post.of(home, "cuda:0@gpu2")
        with near.manned(), far.manned():
            assert worst(home, "workers")[0] == State.WARNING
            near.describe("NVIDIA L4, 22 GiB")
            far.describe("NVIDIA T4, 15 GiB")
            told = [line.says for line in lines_of(home, "workers")]
            assert told == ["cuda:0@gpu1: NVIDIA L4, 22 GiB.", "cuda:0@gpu2: NVIDIA T4, 15 GiB."]
        assert worst(home, "workers")[0] == State.PROBLEM
    monkeypatch.setenv("AGENT_BROKER_URL", "redis+socket:///nowhere/r.sock")
    assert worst(home, "broker")[0] == State.PROBLEM


def test_a_check_that_fails_stops_no_other(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_site: Site) -> Iterator[Finding]:
        raise ZeroDivisionError("SECRET")
        yield

    known = {"broken": broken, "identity": checks["identity"]}
    monkeypatch.setattr(checks, "_known", known)
    lines = list(examine(home))
    assert [line.check for line in lines] == ["broken", "identity"]
    assert "SECRET" not in lines[0].says


def test_devices_are_those_of_torch(home: Home) -> None:
    lines = lines_of(home, "devices")
    assert lines
    assert all(line.state != State.PROBLEM for line in lines), lines
    assert machine.probed(machine.environment(home))["missing"] == []


@pytest.mark.parametrize(
    ("facts", "state", "says"),
    [
        ({}, "ok", "cuda:0: NVIDIA L4, 22.0 GiB of 24.0 GiB free, bf16."),
        ({"works": False}, "problem", "cannot compute"),
        ({"4-bit": True, "bf16": False}, "ok", "free, 4-bit."),
    ],
)
def test_a_device_is_told_with_what_it_can(
    home: Home, monkeypatch: pytest.MonkeyPatch, facts: dict[str, object], state: str, says: str
) -> None:
    gpu = {"device": "cuda:0", "name": "NVIDIA L4", "memory": 24 << 30, "free": 22 << 30}
    device = {**gpu, "bf16": True, "4-bit": False, "works": True, **facts}
    known = {"missing": [], "torch": "2.13.0", "cuda": "13.0", "devices": [device]}
    monkeypatch.setattr(machine, "probed", lambda _: known)
    assert worst(home, "devices")[0] == state
    assert says in worst(home, "devices")[1]


def test_an_idle_driver_and_a_missing_library_are_told(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"missing": [], "torch": "2.13.0+cpu", "cuda": None, "devices": []}
    monkeypatch.setattr(machine, "probed", lambda _: known)
    monkeypatch.setattr(machine, "NVIDIA", tmp_path)
    assert "without CUDA" in worst(home, "devices")[1]
    known["missing"] = ["torch"]
    assert worst(home, "devices")[0] == State.PROBLEM


def test_the_exit_code_says_whether_something_must_be_done(
    quiet_hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_known", {"key file": checks["key file"]})
    words = ["doctor", "--home", str(home.folder)]
    assert CliRunner().invoke(cli.app, words).exit_code == Exit.DONE
    home.key_file.chmod(0o644)
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == Exit.UNWELL
    assert "→ chmod 600" in done.stdout
    said = json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout)
    assert (said["healthy"], said["lines"][0]["state"]) == (False, "problem")

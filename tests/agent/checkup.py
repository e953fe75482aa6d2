"""What the tests of `doctor` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent import cli
from agent.checks import State, checks
from agent.doctor import Line, examine
from agent.home import Home
from tests.agent import tiny
from tests.agent.fake_hub import FakeHub

LIGHT = [name for name in checks if name != "devices"]  # which imports torch


def worst(home: Home, name: str) -> tuple[State, str, str]:
    """The gravest line of a check; the states are listed from good to bad."""
    order = list(State)
    line = max(lines_of(home, name), key=lambda line: order.index(line.state))
    return line.state, line.says, line.do


def lines_of(home: Home, name: str) -> list[Line]:
    return list(examine_only(home, name))


def examine_only(home: Home, *names: str) -> Iterator[Line]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_known", {name: checks[name] for name in names})
        yield from examine(home)


def place(hub: FakeHub, slug: str = "coast", **facts: object) -> None:
    base = {"repo": tiny.BASE_REPO, "revision": tiny.REVISION}
    plan = tiny.plan().model_dump(mode="json")
    said = {"federation": slug, "federation_name": slug, "base": base, "base_bytes": 4096}
    hub.places.append({**said, "plan": plan, **facts})


def mapped(home: Home, folder: Path, slug: str = "coast") -> Path:
    data = tiny.make_data(folder / "data", rows=9)
    done = CliRunner().invoke(cli.app, ["data", "add", slug, str(data), "--home", str(home.folder)])
    assert done.exit_code == 0, done.output
    return data


def moved_to(home: Home, url: str) -> Home:
    home.keep_identity(home.identity().model_copy(update={"hub": url}))
    return home

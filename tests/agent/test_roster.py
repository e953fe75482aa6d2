from __future__ import annotations

import os
import threading

import pytest

from agent import roster
from agent.devices import chosen, described
from agent.errors import AgentFault, AlreadyRunning
from agent.home import Home
from agent.roster import Post, manned, posts


def test_a_worker_is_there_for_as_long_as_it_lives(home: Home) -> None:
    post = Post.of(home, "cpu@here")
    with post.manned():
        assert [one.name for one in manned(home)] == ["cpu@here"]
    assert manned(home) == []
    assert [one.name for one in posts(home)] == ["cpu@here"]


def test_a_device_has_one_worker(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "PATIENCE_SECONDS", 0.1)
    post = Post.of(home, "cpu@here")
    with post.manned(), pytest.raises(AlreadyRunning, match="cpu@here"), post.manned():
        pass


def test_many_who_look_at_once_see_no_worker_that_is_not_there(home: Home) -> None:
    post = Post.of(home, "cpu@here")
    with post.manned():
        pass
    seen: list[bool] = []

    def look() -> None:
        seen.extend(post.is_manned for _ in range(200))

    threads = [threading.Thread(target=look) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert seen == [False] * 800


def test_a_worker_that_starts_again_is_not_ready_yet(home: Home) -> None:
    post = Post.of(home, "cpu@here")
    with post.manned():
        post.describe("cpu")
    with post.manned():
        assert post.device == ""


def test_the_hub_is_told_all_devices_in_one_line(home: Home) -> None:
    assert described(home).startswith("starting, ")
    names = ("cuda:0@a", "cuda:1@a", "cpu@b")
    first, second, third = (Post.of(home, name) for name in names)
    with first.manned(), second.manned(), third.manned():
        for post, device in ((first, "L4"), (second, "L4"), (third, "cpu")):
            post.describe(device)
        assert described(home).startswith("cpu; 2 × L4, ")
        third.describe("x" * 200)
        assert len(described(home)) == 120


def test_what_a_host_left_that_is_gone_for_long_is_swept(home: Home) -> None:
    old, new, living = (Post.of(home, name) for name in ("cpu@old", "cpu@new", "cpu@living"))
    for post in (old, new):
        with post.manned():
            post.describe("cpu")
    with living.manned():
        for name in ("cpu@old", "cpu@living"):
            os.utime(home.workers / f"{name}.lock", (0, 0))
        for post in posts(home):
            post.sweep()
    assert [post.name for post in posts(home)] == ["cpu@living", "cpu@new"]
    assert not (home.workers / "cpu@old.json").exists()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("auto", ("auto",)),
        ("cuda", ("cuda",)),
        ("cuda:0,cuda:1,cpu", ("cuda:0", "cuda:1", "cpu")),
        ("cuda:0+cuda:1,cuda:2", ("cuda:0+cuda:1", "cuda:2")),
    ],
)
def test_devices_are_chosen_by_name(text: str, names: tuple[str, ...]) -> None:
    assert chosen(text, {}) == names


@pytest.mark.parametrize("text", ["", "gpu", "cuda:0,cuda:0", "cuda:x", "cpu,", "auto+cpu", "../x"])
def test_what_names_no_device_is_a_fault(text: str) -> None:
    with pytest.raises(AgentFault, match="names no devices"):
        chosen(text, {})

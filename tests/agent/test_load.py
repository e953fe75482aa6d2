"""How busy a device is said to be."""

from __future__ import annotations

import time

import pytest
import torch

from agent.load import Load


def test_a_core_that_works_is_seen_and_one_that_rests_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    load = Load()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    busy = load.share()
    time.sleep(0.2)
    idle = load.share()
    assert busy is not None
    assert idle is not None
    assert 0 <= idle < 0.5 * busy <= 0.5


def test_of_a_card_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "utilization", lambda: 87)
    assert Load().share() == 0.87


def test_without_the_drivers_library_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> int:
        raise ModuleNotFoundError("nvidia-ml-py")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "utilization", missing)
    assert Load().share() is None

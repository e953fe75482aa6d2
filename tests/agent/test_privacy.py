"""Markers are planted in everything that must stay; then everything that left is searched."""

from __future__ import annotations

import json

import pytest

from tests.agent import tiny
from tests.agent.conftest import Spec, evaluating
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place

MARKER = "zanzibarine"


@pytest.fixture
def secretive(hub: FakeHub, place: Place) -> Place:
    """The agent, with data whose texts, labels, columns and folder bear the marker."""
    folder = place.folder / f"{MARKER}-data"
    marked = tiny.make_data(folder / "good")
    for part in ("train", "test"):
        file = marked / f"{part}.csv"
        text = file.read_text().replace("wave", f"wave {MARKER}").replace("text,", f"{MARKER},")
        file.write_text(text)
    place.command("data", "add", "marked", str(marked), "--text", MARKER)
    tiny.make_data(folder / "labels", labels=("sea", f"{MARKER}1", "stone"))
    place.command("data", "add", "labels", str(folder / "labels"))
    tiny.make_data(folder / "broken")
    place.command("data", "add", "broken", str(folder / "broken"))
    (folder / "broken" / "train.csv").write_text(f'text,label\n"{MARKER}')
    (folder / "broken" / "test.csv").unlink()
    return place


def test_nothing_of_the_site_leaves_it(
    hub: FakeHub, secretive: Place, train_spec: Spec, adapter: bytes
) -> None:
    measuring = evaluating(hub, adapter, tiny.plan())
    trained = hub.offer(train_spec, federation="marked")
    measured = hub.offer(measuring, federation="marked")
    failing = [
        hub.offer(train_spec, federation="labels"),
        hub.offer(train_spec, federation="broken"),
        hub.offer(measuring, federation="broken"),
        hub.offer({**train_spec, "base": {"repo": "base/none", "revision": "2" * 40}}),
    ]
    hub.wait_for(lambda: all(task.failures for task in failing) and trained.receipt)
    assert measured.evaluations
    codes = [task.failures[0].code for task in failing]
    assert codes == ["unknown_label", "data_unreadable", "no_data", "base_unavailable"]
    left = b"".join(
        b"\n".join((seen.line.encode(), json.dumps(seen.headers).encode(), seen.body))
        for seen in hub.requests("")
    )
    for secret in (MARKER, "gravel", "harbour", str(secretive.folder)):
        assert secret.encode() not in left
        assert secret not in secretive.logged()


def test_other_people_of_the_machine_cannot_look_in(shared_place: Place) -> None:
    folders = [shared_place.home.folder, shared_place.home.tasks, shared_place.home.receipts]
    assert [path.stat().st_mode & 0o077 for path in folders] == [0, 0, 0]


def test_no_file_of_data_is_copied(secretive: Place) -> None:
    texts = (path for path in secretive.home.folder.rglob("*") if path.suffix in {".csv", ".json"})
    assert not [path for path in texts if MARKER in path.read_text(errors="ignore")]

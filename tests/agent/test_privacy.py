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
    for secret in (MARKER, "gravel", "harbour", str(secretive.folder)):
        assert secret.encode() not in left(hub)
        assert secret not in secretive.logged()


def left(hub: FakeHub) -> bytes:
    """Everything that ever left the agent."""
    return b"".join(
        b"\n".join((seen.line.encode(), json.dumps(seen.headers).encode(), seen.body))
        for seen in hub.requests("")
    )


POLICIES = {  # what the site writes, and how its hub hears of it
    f'# {MARKER}\nbase_models = ["{MARKER}"]': "base_models: ",
    f'federations = ["{MARKER}"]\n[federation."{MARKER}"]\npaused = true': "federations: ",
    f"[federation.coast]  # {MARKER}\nrequire_consent = true": "require_consent: ",
    f'timezone = "{MARKER}"': "",
    f"[{MARKER}": "",
}


def test_nothing_of_the_site_s_policy_leaves_it(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    file = place.home.folder / "policy.toml"
    try:
        for text, rule in POLICIES.items():
            file.write_text(text)
            task = hub.offer(train_spec)
            hub.wait_for(lambda task=task: task.failures or task.releases)
            details = [failure.detail for failure in task.failures]
            assert len(details) == bool(rule)
            assert all(detail.startswith(rule) for detail in details)
    finally:
        file.unlink()
    told = {asked.policy.state for asked in hub.leases if asked.policy}
    assert told == {"set", "unreadable"}
    for secret in (MARKER, str(place.folder)):
        assert secret.encode() not in left(hub)
        assert secret not in place.logged()


def test_other_people_of_the_machine_cannot_look_in(shared_place: Place) -> None:
    folders = [shared_place.home.folder, shared_place.home.tasks, shared_place.home.receipts]
    assert [path.stat().st_mode & 0o077 for path in folders] == [0, 0, 0]


def test_no_file_of_data_is_copied(secretive: Place) -> None:
    texts = (path for path in secretive.home.folder.rglob("*") if path.suffix in {".csv", ".json"})
    assert not [path for path in texts if MARKER in path.read_text(errors="ignore")]

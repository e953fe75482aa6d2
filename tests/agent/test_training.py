from __future__ import annotations

from pathlib import Path

from federation.layout import expected_shapes, read_layout
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place


def test_a_training_task_ends_in_one_update_with_a_receipt(
    hub: FakeHub, place: Place, train_spec: dict[str, object], tmp_path: Path
) -> None:
    task = hub.offer(train_spec)
    hub.wait_for(lambda: task.receipt)
    place.wait_until_idle()
    (update,) = task.updates
    (upload,) = [u for u in hub.uploads.values() if u.task == task.offer.id]
    assert upload.sha256 == update.statement.update_sha256
    assert update.statement.examples == 60
    start, sent = tmp_path / "start", tmp_path / "sent"
    start.write_bytes(hub.blobs[train_spec["start"]["sha256"]])
    sent.write_bytes(upload.content)
    shapes = {name: (t.dtype, t.shape) for name, t in read_layout(sent).tensors.items()}
    assert shapes == expected_shapes(read_layout(start), 2)
    assert (place.home.receipts / f"{task.receipt.update}.json").exists()

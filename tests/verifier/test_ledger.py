from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from federation.keys import generate_private_key, public_key_of, sign_bytes
from federation.ledger import notes
from federation.plan import canonical
from federation.protocol import Receipt
from hub.ledger.models import EntryType
from tests.verifier.exports import entry_of, forged, rows, written
from verifier.cli import parser
from verifier.faults import Wrong
from verifier.ledger.checking import check

ROOT = Path(__file__).resolve().parents[2]
ROWS = rows()
ENTRIES = [row for row in ROWS if row.startswith(b'{"entry":')]
FLIPS = 350
HUB = generate_private_key()
LEDGER = str(entry_of(ENTRIES[0])["ledger"])
OURS = [sys.executable, "-m", "verifier"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "workers")}


def verify(*words: object) -> int:
    given = parser().parse_args(["ledger", *map(str, words)])
    return int(given.run(given))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return written(tmp_path / "export.jsonl", ROWS)


def wrong(path: Path, content: list[bytes]) -> Wrong:
    with pytest.raises(Wrong) as caught:
        check(written(path, content), processes=1)
    return caught.value


def test_an_export_that_is_right_is_found_right(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(export, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"] == len(ENTRIES)
    assert found["cosigned_by"] == 2
    assert found["checked"]["valuations"] == 3
    assert found["checked"]["statements"] == 9
    assert verify(export) == 0
    assert "is right" in capsys.readouterr().out


def test_the_export_has_every_type_of_entry() -> None:
    assert {entry_of(row)["type"] for row in ENTRIES} == set(EntryType.values)


def test_whatever_byte_is_flipped_the_entry_is_named(tmp_path: Path) -> None:
    dice, path = Random(6), tmp_path / "flipped.jsonl"
    for flip in range(FLIPS):
        row = flip % len(ROWS) if flip < len(ROWS) else dice.randrange(len(ROWS))
        raw = bytearray(ROWS[row])
        raw[dice.randrange(len(raw) - 1)] ^= 1 << dice.randrange(8)
        if b"\n" in raw[:-1]:
            continue  # then it is two rows, and the next test's
        found = wrong(path, [*ROWS[:row], bytes(raw), *ROWS[row + 1 :]])
        if row < len(ENTRIES):
            assert found.where == f"entry {row}"
        else:
            assert "checkpoint" in found.where or "key" in found.where


@pytest.mark.parametrize("row", range(0, len(ENTRIES), 7))
def test_a_row_that_is_missing_doubled_or_elsewhere_is_named(tmp_path: Path, row: int) -> None:
    path, last = tmp_path / "other.jsonl", row == len(ENTRIES) - 1
    missing = wrong(path, [*ROWS[:row], *ROWS[row + 1 :]])
    assert missing.where == (f"entry {row}" if not last else f"the checkpoint of size {row + 1}")
    assert wrong(path, [*ROWS[: row + 1], *ROWS[row:]]).where == f"entry {row + 1}"
    if not last:
        swapped = [*ROWS[:row], ROWS[row + 1], ROWS[row], *ROWS[row + 2 :]]
        assert wrong(path, swapped).where == f"entry {row}"


def test_an_end_that_no_checkpoint_covers_is_wrong(tmp_path: Path) -> None:
    left = [row for row in ROWS if b'{"checkpoint"' not in row]
    assert wrong(tmp_path / "x", left).where == "entry 0"


# What a hub that lies may do: it hashes and signs anew what it has changed.


LIES: list[tuple[str, int, Callable[[dict[str, Any]], object], str]] = [
    ("update.submitted", 0, lambda said: said.update(participation="x"), "another participation"),
    ("update.submitted", 1, lambda said: said.update(signature="A" * 86 + "=="), "signature"),
    (
        "update.submitted",
        2,
        lambda said: said.update(statement=said["statement"].replace("4000", "9000")),
        "signature",
    ),
    ("update.submitted", 3, lambda said: said.update(key_id="0" * 64), "does not know the key"),
    ("update.judged", 0, lambda said: said.update(update="x"), "judges an update"),
    ("update.judged", 1, lambda said: said.update(verdict="rejected"), ""),
    ("round.opened", 0, lambda said: said.update(plan_digest="0" * 64), "another plan"),
    ("round.opened", 1, lambda said: said.update(start="0" * 64), "does not start from"),
    ("round.opened", 1, lambda said: said.update(number=7), "follows round"),
    ("round.closed", 0, lambda said: said["updates"][0].update(sha256="0" * 64), "not the one"),
    ("round.closed", 0, lambda said: said["updates"][0].update(update="x"), "does not know"),
    ("data.declared", 1, lambda said: said.update(train_examples=3999), "4000 examples of 3999"),
    ("version.published", 0, lambda said: said.update(adapter="0" * 64), "another adapter"),
    ("version.published", 1, lambda said: said.update(parent="x"), "parent"),
    ("run.started", 0, lambda said: said.update(plan=said["plan"] + " "), "plan"),
    ("valuation.recorded", 0, lambda said: said["values"][0].update(value=1.0), "follows"),
    ("valuation.recorded", 0, lambda said: said["values"][0].update(upper=1.0), "follows"),
    ("valuation.recorded", 1, lambda said: said["record"].update(seed="0" * 64), "digest"),
    ("valuation.recorded", 1, lambda said: said["players"][0].update(weight=0.9), "weights"),
    ("valuation.recorded", 1, lambda said: said["players"][0].update(updates=["x"]), "counted"),
    ("reward.granted", 0, lambda said: said["credits"][0].update(paid=9_999), "follow"),
    ("reward.granted", 0, lambda said: said.update(budget=1), "budget"),
    ("reward.granted", 0, lambda said: said.update(seed="0" * 64), "seed"),
    ("reward.granted", 0, lambda said: said["valuations"].pop(), "follow"),
    (
        "reward.granted",
        0,
        lambda said: said.update(valuations=["valuation:x"]),
        "does not know a valuation",
    ),
    ("reward.released", 0, lambda said: said["credits"][0].update(paid=9_999), "held"),
    ("correction", 0, lambda said: said["changes"][0].update(paid=1), "follow"),
    ("key.enrolled", 0, lambda said: said.update(key_id="0" * 64), "id"),
    ("key.rotated", 0, lambda said: said.update(replaces="0" * 64), "does not know"),
    ("key.enrolled", 0, lambda said: said.update(valid_from="2030-01-01T00:00:00Z"), "good"),
    ("key.revoked", 0, lambda said: said.update(valid_until="2025-12-31T23:00:00Z"), "good"),
]


@pytest.mark.parametrize(("kind", "number", "change", "reason"), LIES)
def test_what_does_not_follow_is_found_though_all_is_signed(
    tmp_path: Path,
    kind: str,
    number: int,
    change: Callable[[dict[str, Any]], object],
    reason: str,
) -> None:
    places = [place for place, row in enumerate(ENTRIES) if entry_of(row)["type"] == kind]
    target = places[number]

    def changed(index: int, entry: dict[str, Any]) -> None:
        if index == target:
            change(entry["payload"])

    found = wrong(tmp_path / "forged.jsonl", forged(ROWS, changed))
    assert reason in found.reason
    if kind != "key.revoked":  # that is held against what was signed before
        assert int(re.findall(r"\d+", found.where)[0]) >= target


def test_what_is_forged_and_changes_nothing_is_right(tmp_path: Path) -> None:
    content = forged(ROWS, lambda _index, _entry: None)
    assert check(written(tmp_path / "forged.jsonl", content), processes=1).size == len(ENTRIES)


@pytest.mark.parametrize(
    "change",
    [
        {"ledger": "00000000-0000-0000-0000-000000000000"},
        {"index": 3},
        {"time": "2020-01-01T00:00:00.000000Z"},
        {"key": "federation"},
    ],
)
def test_an_entry_out_of_its_order_is_found(tmp_path: Path, change: dict[str, Any]) -> None:
    def changed(index: int, entry: dict[str, Any]) -> None:
        entry.update(change if index == 40 else {})

    assert wrong(tmp_path / "forged.jsonl", forged(ROWS, changed)).where == "entry 40"


# What is held against an export.


def receipt(path: Path, index: int, leaf: str, *, key: bytes = HUB) -> Path:
    """As the hub signs it and an agent keeps it."""
    made = Receipt.model_validate(
        {
            "update": "8f1d6f0e-5a43-4bd5-9d5c-2a8f3c1b0e11",
            "statement_sha256": "1" * 64,
            "received_at": "2026-10-01T12:00:00.123456Z",
            "hub_key_id": "2" * 64,
            "signature": "",
            "ledger_index": index,
            "entry_sha256": leaf,
        }
    )
    signature = sign_bytes(key, "fl-receipt-v2", canonical(made.ledger_part()))
    signed = made.model_copy(update={"ledger_signature": signature}).model_dump(mode="json")
    path.write_text(json.dumps({"receipt": signed, "ledger": LEDGER}))
    return path


def agent_json(path: Path, **more: str) -> Path:
    """What an agent has pinned."""
    key = base64.b64encode(public_key_of(HUB)).decode()
    path.write_text(json.dumps({"hub_public_key": key, **more}))
    return path


def leaf(row: bytes) -> str:
    return str(json.loads(row)["leaf"])


def test_receipts_expose_a_ledger_that_was_set_back(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "receipts"
    folder.mkdir()
    receipt(folder / "a.json", 20, leaf(ENTRIES[20]))
    (folder / "old.json").write_text(json.dumps({"receipt": {"update": "x"}}))
    another = {"receipt": {"ledger_index": 9, "entry_sha256": "0" * 64}, "ledger": "another"}
    (folder / "another.json").write_text(json.dumps(another))
    assert verify(export, "--receipt", folder) == 0
    assert "1 receipts" in capsys.readouterr().out
    receipt(folder / "b.json", len(ENTRIES), "0" * 64)
    assert verify(export, "--receipt", folder) == 1
    assert "entries are gone" in capsys.readouterr().err
    other = receipt(tmp_path / "c.json", 21, leaf(ENTRIES[20]))
    assert verify(export, "--receipt", other, "--json") == 1
    assert (
        json.loads(capsys.readouterr().out)["reason"] == "entry 21 is not the one that it promises"
    )


def test_a_receipt_that_the_hub_never_signed_convicts_nobody(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = agent_json(tmp_path / "agent.json")
    true = receipt(tmp_path / "a.json", 20, leaf(ENTRIES[20]))
    assert verify(export, "--hub-key", pinned, "--receipt", true) == 0
    forged_one = receipt(tmp_path / "b.json", 20, leaf(ENTRIES[20]), key=generate_private_key())
    assert verify(export, "--hub-key", pinned, "--receipt", forged_one) == 1
    assert "its signature is wrong" in capsys.readouterr().err
    moved = json.loads(true.read_text())
    moved["receipt"]["ledger_index"] = 21
    true.write_text(json.dumps(moved))
    assert verify(export, "--hub-key", pinned, "--receipt", true) == 1
    key = json.loads(pinned.read_text())["hub_public_key"]
    assert verify(export, "--hub-key", key) == 0
    assert verify(export, "--hub-key", "bm8=") == 2
    assert verify(export, "--hub-key", tmp_path / "none") == 2


def test_kept_checkpoints_expose_another_history(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first, *_) = [json.loads(row)["checkpoint"] for row in ROWS if b'{"checkpoint"' in row]
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"note": first, "size": 1}))
    assert verify(export, "--checkpoint", kept) == 0

    def changed(index: int, entry: dict[str, Any]) -> None:
        entry["key"] += "x" if index == 3 else ""

    fork = written(tmp_path / "fork.jsonl", forged(ROWS, changed))
    assert verify(fork) == 0
    assert verify(fork, "--checkpoint", kept) == 1
    assert "another root" in capsys.readouterr().err


def test_only_the_key_that_is_known_signs(export: Path, tmp_path: Path) -> None:
    own = json.loads(ROWS[-1])["ledger_key"]
    other = str(notes.VerifierKey("bench.example", public_key_of(generate_private_key())))
    agent = tmp_path / "agent.json"
    agent.write_text(json.dumps({"ledger_key": own}))
    assert verify(export, "--ledger-key", own) == 0
    assert verify(export, "--ledger-key", agent) == 0
    assert verify(export, "--ledger-key", other) == 1


@pytest.mark.parametrize("content", [None, b"", b"hello\n", ROWS[0][:-1]])
def test_what_is_no_export_is_unusable(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "export.jsonl"
    if content is not None:
        path.write_bytes(content)
    assert verify(path) == 2


def test_several_processes_find_the_same(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verifier.ledger.checking.SMALL_BYTES", 0)
    monkeypatch.setattr("verifier.ledger.checking.PIECE_BYTES", 4096)
    assert check(export, processes=2).leaves == check(export, processes=1).leaves
    flipped = [*ROWS[:50], ROWS[50].replace(b'"time":"2', b'"time":"3'), *ROWS[51:]]
    with pytest.raises(Wrong, match="entry 50"):
        check(written(tmp_path / "x", flipped), processes=2)


def test_the_guide_s_commands_do_what_it_says(export: Path, tmp_path: Path) -> None:
    """Each as it stands there, in a folder with a download and what an agent keeps."""
    guide = (ROOT / "docs" / "contributions.md").read_text().partition("## Check it yourself")[2]
    blocks = "".join(re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)).replace("\\\n", " ")
    commands = [shlex.split(line) for line in blocks.splitlines()]
    agent = kept_by_an_agent(tmp_path / "agent")
    export.rename(tmp_path / "ledger.jsonl")
    program = str(tmp_path / "foedus-verify.pyz")
    named = {".foedus/foedus-verify.pyz": program, "python3": sys.executable, "FEDERATION": LEDGER}
    for words in commands:
        for name, value in {**named, "~/.foedus-agent": str(agent)}.items():
            words[:] = [word.replace(name, value) for word in words]
        if words[0] == "make":
            words += [f"VERIFIER={program}", "--directory", str(ROOT)]
        argv = OURS + words[1:] if words[0] == "foedus-verify" else words
        done = subprocess.run(
            argv, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (words, done.stderr)
    assert [words[0] for words in commands].count("foedus-verify") == 2


def kept_by_an_agent(folder: Path) -> Path:
    """The folder of an agent that has seen the export."""
    for name in ("receipts", "ledgers"):
        (folder / name).mkdir(parents=True)
    agent_json(folder / "agent.json", **json.loads(ROWS[-1]))
    receipt(folder / "receipts" / "a.json", 20, leaf(ENTRIES[20]))
    note = json.loads(ROWS[-2])["checkpoint"]
    (folder / "ledgers" / f"{LEDGER}.json").write_text(json.dumps({"note": note}))
    return folder

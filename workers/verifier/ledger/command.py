"""`foedus-verify ledger EXPORT`: its options, and what it says."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from verifier.faults import Fault, Wrong
from verifier.ledger.checking import Ledger, check, survey
from verifier.ledger.kept import check_checkpoint, check_receipts, hub_key_in, key_in


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("export", type=Path, help="the export, as it was downloaded")
    parser.add_argument(
        "--ledger-key",
        help="the ledger's key as you know it: the line itself, a file with it, or your agent's "
        "agent.json; without, the key in the export is believed",
    )
    parser.add_argument(
        "--receipt",
        type=Path,
        action="append",
        default=[],
        help="a receipt that your agent has kept, or its folder receipts/; may be repeated",
    )
    parser.add_argument(
        "--hub-key",
        help="the hub's key as you know it, which signs receipts: in base64, a file with it, or "
        "your agent's agent.json; without, receipts are believed",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        help="a checkpoint that you have kept: a note, or a file of your agent's ledgers/",
    )
    parser.add_argument("--processes", type=int, default=0, help="as many as cores by default")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    try:
        document = _checked(given)
    except Fault as fault:
        _tell_fault(fault, as_json=given.json)
        return fault.code
    sys.stdout.write(json.dumps(document, indent=2) + "\n" if given.json else _in_words(document))
    return 0


def _checked(given: argparse.Namespace) -> dict[str, Any]:
    pinned = key_in(given.ledger_key) if given.ledger_key else None
    ledger = check(given.export, pinned=pinned, processes=given.processes)
    hub_key = hub_key_in(given.hub_key) if given.hub_key else None
    receipts = check_receipts(ledger, given.receipt, hub_key)
    if given.checkpoint:
        key = pinned or survey(given.export).known.ledger_key
        for path in given.checkpoint:
            check_checkpoint(ledger, path, key)
    return _document(ledger) | {"receipts": receipts, "kept_checkpoints": len(given.checkpoint)}


def _document(ledger: Ledger) -> dict[str, Any]:
    _, size, root, signers = max(ledger.checkpoints, key=lambda one: one[1])
    return {
        "right": True,
        "ledger": ledger.ledger,
        "key": ledger.key,
        "size": size,
        "root": root.hex(),
        "cosigned_by": len(signers),
        "checked": dict(sorted(ledger.counted.items())),
    }


def _in_words(found: dict[str, Any]) -> str:
    kept = f"{found['receipts']} receipts and {found['kept_checkpoints']} checkpoints"
    lines = [
        f"The ledger {found['ledger']} is right: {found['size']} entries.",
        f"  root        {found['root']}",
        f"  key         {found['key']}",
        f"  cosigned    by {found['cosigned_by']} agents at this size",
        *(f"  {what:<11} {count}" for what, count in found["checked"].items()),
        f"  kept        {kept} go with it",
    ]
    return "\n".join(lines) + "\n"


def _tell_fault(fault: Fault, *, as_json: bool) -> None:
    if not as_json:
        sys.stderr.write(f"{fault}\n")
        return
    told = {"right": False, "reason": fault.reason if isinstance(fault, Wrong) else str(fault)}
    where = fault.where if isinstance(fault, Wrong) else ""
    sys.stdout.write(json.dumps({**told, "where": where}, indent=2) + "\n")

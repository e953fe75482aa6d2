"""`foedus-verify model FOLDER --key KEY`: is this download what the hub signed?

Exit codes: 0 it is; 1 a file is wrong, whose name is printed; 2 the command was wrong; 3 the
signature is missing or wrong; 4 the key cannot be had, or is not the one known.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from verifier.bundles import named_key
from verifier.faults import Fault
from verifier.folders import Verified, read_signature, verify_folder
from verifier.keys import default_pins, key_for


def main(arguments: Sequence[str] | None = None) -> None:
    sys.exit(run(parser().parse_args(arguments)))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="foedus-verify", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    model = made.add_subparsers(dest="what", required=True).add_parser(
        "model", help="a downloaded version of a model"
    )
    model.add_argument("folder", type=Path, help="the download, with its model.sig")
    model.add_argument(
        "--key",
        required=True,
        help="the hub's public model key: a PEM file, or the address of the hub, whose key is "
        "then kept and believed from the first time on",
    )
    model.add_argument("--pins", type=Path, default=default_pins(), help=argparse.SUPPRESS)
    model.add_argument("--json", action="store_true", help="print the lineage as JSON")
    return made


def run(given: argparse.Namespace) -> int:
    try:
        key = key_for(named_key(read_signature(given.folder)), given.key, given.pins)
        found = verify_folder(given.folder, key)
    except Fault as fault:
        sys.stderr.write(f"{fault}\n")
        return fault.code
    sys.stdout.write(as_json(found) if given.json else in_words(found))
    return 0


def as_json(found: Verified) -> str:
    return json.dumps({"files": dict(found.files), "lineage": found.lineage}, indent=2) + "\n"


def in_words(found: Verified) -> str:
    lineage = found.lineage
    parent, base = lineage["parent"], lineage["base_model"]
    lines = [
        f"{len(found.files)} files, all as they were signed.",
        f"{lineage['federation']}, version {lineage['version']}",
        f"  base model  {base['repo']} at {base['revision']}",
        f"  parent      {_parent(parent) if parent else 'none, a fresh adapter'}",
        f"  plan        {lineage['plan_sha256']}",
        *(f"  update      {_update(one)}" for one in lineage["contributors"]),
    ]
    return "\n".join(lines) + "\n"


def _parent(parent: dict[str, object]) -> str:
    return f"version {parent['version']}, weights {parent['adapter_sha256']}"


def _update(one: dict[str, object]) -> str:
    signed = one["statement_sha256"] or "none on record"
    return f"{one['organisation']}: {one['examples']} examples, signed statement {signed}"

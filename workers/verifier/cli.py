"""`foedus-verify`: what a hub gave out, checked with no trust in that hub.

`model FOLDER --key KEY`: is this download what the hub signed? Exit codes: 0 it is; 1 a file is
wrong, whose name is printed; 2 the command was wrong; 3 the signature is missing or wrong; 4 the
key cannot be had, or is not the one known.

`ledger EXPORT`: does all of a federation's ledger follow? Exit codes: 0 it does; 1 something is
wrong, and the first entry that is, is named; 2 there is nothing to check.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from verifier.bundles import named_key
from verifier.faults import Fault
from verifier.folders import read_signature, verify_folder
from verifier.keys import default_pins, key_for
from verifier.ledger import command as ledger
from verifier.words import as_json, in_words


def main(arguments: Sequence[str] | None = None) -> None:
    given = parser().parse_args(arguments)
    gc.disable()  # what is read has no cycles, and there is much of it
    sys.exit(given.run(given))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="foedus-verify", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    subjects = made.add_subparsers(dest="what", required=True)
    _add_model(subjects.add_parser("model", help="a downloaded version of a model"))
    ledger.add_to(subjects.add_parser("ledger", help="the export of a federation's ledger"))
    return made


def _add_model(model: argparse.ArgumentParser) -> None:
    model.add_argument("folder", type=Path, help="the download, with its model.sig")
    model.add_argument(
        "--key",
        required=True,
        help="the hub's public model key: a PEM file, or the address of the hub, whose key is "
        "then kept and believed from the first time on",
    )
    model.add_argument("--pins", type=Path, default=default_pins(), help=argparse.SUPPRESS)
    model.add_argument("--json", action="store_true", help="print the lineage as JSON")
    model.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    try:
        key = key_for(named_key(read_signature(given.folder)), given.key, given.pins)
        found = verify_folder(given.folder, key)
    except Fault as fault:
        sys.stderr.write(f"{fault}\n")
        return fault.code
    sys.stdout.write(as_json(found) if given.json else in_words(found))
    return 0

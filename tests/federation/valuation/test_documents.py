from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import rfc8785

import federation
from federation.valuation import (
    Table,
    ValuationRefused,
    document_of,
    read_document,
    replay,
    seed_of,
    valuations,
)
from tests.federation.valuation.games import losses_of, measured, played, valuation

GAINS = {"a": 0.4, "b": 0.2, "c": 0.1, "d": 0.0}
ROOT = Path(federation.__file__).parents[1]


def recorded(name: str = "exact", **changed: object) -> dict:
    asked = valuation(GAINS, valuations[name](), **changed)
    losses = losses_of(GAINS, lambda one: sum(GAINS[p] for p in one) ** 0.5)
    known = [one for owner in (None, *GAINS) for one in played(asked, losses, owner)]
    return document_of(name, asked, Table.of(known))


@pytest.mark.parametrize("name", sorted(valuations))
def test_the_values_follow_from_the_record(name):
    clusters = (frozenset({"c", "d"}),)
    document = recorded(name, clusters=clusters, trim=0.1, samples=50)
    read = json.loads(rfc8785.dumps(document))
    asked, table = read_document(read)
    assert document_of(name, asked, table) == document
    assert replay(read) == asked.valued(table)
    assert replay(read).contributions["a"].value > 0


def test_another_loss_is_another_value():
    document = recorded()
    changed = copy.deepcopy(document)
    changed["probes"][1]["losses"][-1][1][0] += 1
    assert replay(changed) != replay(document)


def test_the_record_is_the_same_in_whatever_order_it_was_measured():
    asked = valuation(GAINS)
    known = measured(losses_of(GAINS, lambda one: len(one) / 10), "a")
    documents = [document_of("exact", asked, Table.of(k)) for k in (known, known[::-1])]
    assert rfc8785.dumps(documents[0]) == rfc8785.dumps(documents[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"game": "renormalised"},
        {"method": "guesswork"},
        {"settings": {"rounds": 3}},
        {"clusters": [[9]]},
        {"probes": [{"owner": "a", "counts": [1], "losses": [[[], [1, 2]]]}]},
        {"probes": [{"owner": "a", "counts": [1], "losses": [[[0], ["much"]]]}]},
        {"players": []},
        {"seed": ...},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_no_record_is_refused(changes):
    document = {**recorded(), **changes}
    if changes.get("seed") is ...:
        del document["seed"]
    with pytest.raises(ValuationRefused):
        replay(document)


def test_the_standard_library_is_enough():
    """Whoever checks an export has no site packages, and gets the same to the last bit."""
    document = recorded("guided_permutations", samples=50)
    program = (
        f"import json, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from federation.valuation import replay\n"
        "found = replay(json.load(sys.stdin)).contributions\n"
        "print(json.dumps({p: [c.value, c.lower, c.upper] for p, c in found.items()}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        check=True,
    )
    expected = replay(document).contributions
    assert json.loads(done.stdout) == {
        player: [one.value, one.lower, one.upper] for player, one in expected.items()
    }


def test_the_seed_is_of_round_and_charter():
    """echo -n 0001 | xxd -r -p | sha256sum"""
    assert seed_of("00", "01").startswith("b413f47d13ee2fe6")
    assert seed_of("00", "01") != seed_of("01", "00")

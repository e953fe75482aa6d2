"""The agent as a witness, in this process: what it demands of a ledger, and when it stops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from agent import cli
from agent.client import HubClient
from agent.commands.shared import Exit
from agent.datasets import DataSet, register
from agent.errors import LedgerFault, ReceiptInvalid
from agent.home import Home
from agent.journal import Entry, Journal
from agent.ledgers import Ledgers
from agent.receipts import keep_receipt
from agent.witnessing import PATIENCE, Witness
from federation.keys import generate_private_key, key_id, public_key_of, sign_bytes
from federation.ledger import entries, notes
from federation.plan import canonical
from federation.protocol import Receipt, TrainSpec
from federation.protocol_ledger import LedgerRef
from tests.agent import tiny
from tests.agent.conftest import training
from tests.agent.fake_hub import FakeHub
from tests.agent.fake_ledger import HOST, History
from tests.agent.test_poller import poll


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.retries.FIRST_PAUSE", 0.01)
    monkeypatch.setenv(PATIENCE, "0.3")


@pytest.fixture
def history(quiet_hub: FakeHub) -> History:
    history = quiet_hub.history()
    history.append("federation.founded")
    return history


def opened(hub: FakeHub, home: Home, history: History, **changed: object) -> Entry:
    """A leased task whose round the ledger opens, but for what is changed there."""
    run, start = uuid4(), hub.put(b"start")
    covers = len(history.texts)
    told = {"federation": str(history.id), "covers": covers}
    spec = training(hub, b"start", tiny.plan(), ledger=told)
    said = {"run": str(run), "number": 1, "start": start, "plan_digest": spec["plan_digest"]}
    history.append("round.opened", **said | changed)
    task = hub.offer(spec, run=run)
    task.state = "leased"
    return Journal(home.tasks).open(task.offer)


def examine(home: Home, task: Entry) -> None:
    async def run() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            await Witness(home=home, hub=hub).examine(task)

    asyncio.run(asyncio.wait_for(run(), 20))


def refused(home: Home, task: Entry) -> LedgerFault:
    with pytest.raises(LedgerFault) as caught:
        examine(home, task)
    return caught.value


def owe(hub: FakeHub, home: Home, history: History, text: str, index: int) -> None:
    """Have the hub sign a receipt for an entry, and the agent keep it."""
    statement = {"round": 1, "federation": "coast"}
    receipt = Receipt(
        update=uuid4(),
        statement_sha256=sha256(canonical(statement)).hexdigest(),
        received_at=datetime.now(UTC),
        hub_key_id=key_id(public_key_of(hub.key)),
        signature="",
        ledger_index=index,
        entry_sha256=entries.leaf_of(text).hex(),
    )
    signed = {
        "signature": sign_bytes(hub.key, "fl-receipt-v1", canonical(receipt.signed_part())),
        "ledger_signature": sign_bytes(hub.key, "fl-receipt-v2", canonical(receipt.ledger_part())),
    }
    reference = LedgerRef(federation=history.id, covers=0)
    keep_receipt(
        home,
        receipt.model_copy(update=signed),
        {"statement": statement, "signature": "s"},
        reference,
    )


def test_the_opening_is_demanded_kept_and_cosigned(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    examine(home, opened(quiet_hub, home, history))
    (kept,) = Ledgers(home).all()
    (cosigned,) = history.cosigned
    public = public_key_of(home.private_key())
    assert (kept.size, kept.root) == (2, history.checkpoint().root.hex())
    assert cosigned.size == 2
    notes.verify_cosignature(
        cosigned.line,
        history.checkpoint(),
        name=notes.witness_name(HOST, key_id(public)),
        public=public,
    )


def test_a_ledger_that_grows_is_followed(quiet_hub: FakeHub, home: Home, history: History) -> None:
    for _ in range(3):
        examine(home, opened(quiet_hub, home, history))
        history.append("round.closed")
    assert [one.size for one in history.cosigned] == [2, 4, 6]


def test_a_checkpoint_that_is_not_there_yet_is_waited_for(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    quiet_hub.fail_next("GET .*/checkpoint", status=409, code="checkpoint_pending", times=3)
    examine(home, opened(quiet_hub, home, history))
    assert len(history.cosigned) == 1


def test_a_checkpoint_that_never_comes_is_stale_and_may_come_later(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    history.signed = 1
    task = opened(quiet_hub, home, history)
    fault = refused(home, task)
    assert (fault.code, fault.retry) == ("ledger_stale", True)
    assert not Ledgers(home).held()
    history.signed = None
    examine(home, task)


def test_another_history_of_the_same_length_is_a_fork(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    task = opened(quiet_hub, home, history)
    examine(home, task)
    history.texts[0] = history.texts[0].replace("act:0", "act:x")
    fault = refused(home, task)
    assert (fault.code, fault.retry) == ("ledger_fork", False)
    assert Ledgers(home).held()["coast"].note == fault.note


def test_another_history_that_is_longer_is_a_fork(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    examine(home, opened(quiet_hub, home, history))
    history.texts[0] = history.texts[0].replace("act:0", "act:x")
    assert refused(home, opened(quiet_hub, home, history)).code == "ledger_fork"


@pytest.mark.parametrize("longer", [False, True])
def test_a_ledger_that_lost_what_was_seen_is_a_regression_or_a_fork(
    quiet_hub: FakeHub, home: Home, history: History, longer: bool
) -> None:
    history.append("data.declared")
    history.append("data.declared")
    examine(home, opened(quiet_hub, home, history))
    del history.texts[1:]
    if longer:
        for number in range(5):
            history.append("data.declared", another=number)
    fault = refused(home, opened(quiet_hub, home, history))
    assert fault.code == ("ledger_fork" if longer else "ledger_regression")
    assert Ledgers(home).held()["coast"].note


def test_a_receipt_is_redeemed_by_the_next_checkpoint(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    examine(home, opened(quiet_hub, home, history))
    index = history.append("update.submitted")
    owe(quiet_hub, home, history, history.texts[index], index)
    assert len(Ledgers(home).all()[0].owed) == 1
    examine(home, opened(quiet_hub, home, history))
    assert Ledgers(home).all()[0].owed == ()


@pytest.mark.parametrize("longer", [False, True])
def test_a_receipt_exposes_a_ledger_that_was_set_back(
    quiet_hub: FakeHub, home: Home, history: History, longer: bool
) -> None:
    examine(home, opened(quiet_hub, home, history))
    history.append("update.judged")
    index = history.append("update.submitted")
    owe(quiet_hub, home, history, history.texts[index], index)
    del history.texts[2:]  # all that the agent has a checkpoint of is still there
    if longer:
        for number in range(3):
            history.append("data.declared", another=number)
    fault = refused(home, opened(quiet_hub, home, history))
    assert fault.code == "ledger_regression"
    assert list(Ledgers(home).held()) == ["coast"]


@pytest.mark.parametrize(
    "changed",
    [{"run": str(uuid4())}, {"number": 2}, {"start": "0" * 64}, {"plan_digest": "0" * 64}],
)
def test_an_opening_of_something_else_is_a_fork(
    quiet_hub: FakeHub, home: Home, history: History, changed: dict[str, object]
) -> None:
    fault = refused(home, opened(quiet_hub, home, history, **changed))
    assert fault.code == "ledger_fork"
    assert next(iter(changed)) in fault.detail


def test_only_the_pinned_key_signs(quiet_hub: FakeHub, home: Home, history: History) -> None:
    quiet_hub.ledger_private = generate_private_key()
    assert refused(home, opened(quiet_hub, home, history)).code == "ledger_fork"


def test_an_agent_of_before_pins_the_key_that_it_sees_first(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    home.keep_identity(home.identity().model_copy(update={"ledger_key": ""}))
    examine(home, opened(quiet_hub, home, history))
    assert home.identity().ledger_key == quiet_hub.ledger_key
    quiet_hub.ledger_private = generate_private_key()
    assert refused(home, opened(quiet_hub, home, history)).code == "ledger_fork"


def test_a_ledger_that_was_seen_cannot_be_left_out_or_exchanged(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    task = opened(quiet_hub, home, history)
    examine(home, task)
    spec = task.offer.spec
    assert isinstance(spec, TrainSpec)
    without = task.offer.model_copy(update={"spec": spec.model_copy(update={"ledger": None})})
    assert refused(home, Entry(task.folder, without)).code == "ledger_stale"
    another = quiet_hub.history()
    assert refused(home, opened(quiet_hub, home, another)).code == "ledger_fork"


def test_a_hub_without_ledgers_is_worked_for(quiet_hub: FakeHub, home: Home, entry: Entry) -> None:
    examine(home, entry)
    assert Ledgers(home).all() == []


@pytest.mark.parametrize("spoil", ["ledger_index", "entry_sha256", "ledger_signature"])
def test_a_receipt_for_another_place_is_refused(
    quiet_hub: FakeHub,
    home: Home,
    history: History,
    spoil: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Receipt.model_copy

    def spoiled(receipt: Receipt, *, update: dict[str, object]) -> Receipt:
        other = {"ledger_index": 7, "entry_sha256": "1" * 64, "ledger_signature": None}
        return original(receipt, update=update | {spoil: other[spoil]})

    monkeypatch.setattr(Receipt, "model_copy", spoiled)
    with pytest.raises(ReceiptInvalid):
        owe(quiet_hub, home, history, history.texts[0], 0)
    assert Ledgers(home).all() == []


def typed(home: Home, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, [*words, "--home", str(home.folder)])
    return done.exit_code, done.output


def test_an_owner_looks_and_accepts(quiet_hub: FakeHub, home: Home, history: History) -> None:
    task = opened(quiet_hub, home, history)
    examine(home, task)
    assert typed(home, "ledger", "show")[0] == Exit.DONE
    before = Ledgers(home).all()[0]
    history.texts[0] = history.texts[0].replace("act:0", "act:x")
    refused(home, task)
    refused(home, task)  # nor a second time
    status, told = typed(home, "ledger", "show")
    assert status == Exit.LEDGER
    assert "LEDGER_FORK" in told
    assert "coast LEDGER_FORK" in typed(home, "status")[1]
    status, told = typed(home, "ledger", "accept", "coast", "--yes", "--json")
    kept = json.loads((home.folder / "ledgers" / json.loads(told)["aside"]).read_text())
    assert kept["note"] == before.note
    examine(home, task)
    assert typed(home, "ledger", "show")[0] == Exit.DONE
    assert json.loads(typed(home, "ledger", "accept", "coast", "--json")[1])["accepted"] is False


def test_a_new_key_is_pinned_when_the_owner_says_so(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    quiet_hub.ledger_private = generate_private_key()
    task = opened(quiet_hub, home, history)
    refused(home, task)
    typed(home, "ledger", "accept", "coast", "--yes", "--new-key")
    examine(home, task)
    assert home.identity().ledger_key == quiet_hub.ledger_key


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said | {"consistency": ["00" * 32] * 200},
        lambda said: said | {"consistency": []},
        lambda said: said | {"inclusion": None},
        lambda said: said | {"inclusion": said["inclusion"] | {"index": 0}},
        lambda said: said | {"inclusion": said["inclusion"] | {"entry": "{}"}},
        lambda said: said | {"note": said["note"].replace(HOST, "evil.example")},
        lambda said: said | {"note": "no note"},
    ],
)
def test_no_answer_that_was_tampered_with_is_believed(
    quiet_hub: FakeHub,
    home: Home,
    history: History,
    spoil: Callable[[dict[str, object]], dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history.append("data.declared")
    examine(home, opened(quiet_hub, home, history))
    task = opened(quiet_hub, home, history)
    shown = FakeHub._shown
    monkeypatch.setattr(FakeHub, "_shown", lambda *given: spoil(shown(*given)))
    before = Ledgers(home).all()[0].size
    assert refused(home, task).code in {"ledger_fork", "ledger_stale"}
    assert Ledgers(home).all()[0].size == before


def test_a_refused_ledger_ends_the_task_and_the_asking(
    quiet_hub: FakeHub, home: Home, history: History
) -> None:
    register(home.data_file, "coast", DataSet(home.folder, "train.jsonl", "test.jsonl"))
    covers = history.append("round.opened", run=str(uuid4()))
    told = {"federation": str(history.id), "covers": covers}
    task = quiet_hub.offer(training(quiet_hub, b"start", tiny.plan(), ledger=told))
    poll(
        home,
        quiet_hub,
        until=lambda: quiet_hub.leases[-1:] and not quiet_hub.leases[-1].federations,
    )
    (failure,) = task.failures
    assert (failure.code, failure.retry) == ("ledger_fork", False)
    assert quiet_hub.leases[0].federations == ("coast",)

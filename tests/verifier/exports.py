"""An export that has every type of entry, and how to change one."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from federation.keys import private_key
from federation.ledger import entries
from federation.ledger.merkle import CompactRange, leaf_hash
from hub.operations.bench.chronicle import Chronicle, digest, named

Entry = dict[str, Any]


class Story(Chronicle):
    """Three members, two runs, and all that can happen to them; told without checkpoints."""

    def __init__(self) -> None:
        super().__init__(members=3, valued_every=1, signed_every=2)

    def told(self, *given: Any, **more: Any) -> dict[str, Any]:
        self.reward_told = (given, more)
        return super().told(*given, **more)

    def whole(self) -> Iterator[str]:
        ada, blaise, carol = self.members
        yield from self.founding()
        yield from self.run(rounds=2)
        (name, run, seed, valued), _ = self.reward_told
        yield from self.rotate(blaise)
        yield from self.commitment(ada)
        yield from self.decisions(ada)
        yield self.released(name, run, seed, valued)
        yield self.corrected(name, run, seed, valued, carol.participation)
        self.sign()
        yield from self.leave(carol)
        yield from self.run(rounds=1, parent=named("version 2"))
        yield from self.failed()
        self.sign()
        yield from self.ending()

    def commitment(self, member: Any) -> Iterator[str]:
        said = self._submission(member, "u", {"run": "r", "round": "c", "number": 1}, "s", "d")
        statement = said["statement"]
        signature = self._signed(member, b"fl-commitment-v1\0" + statement.encode())
        what = {"round": "c", "participation": member.participation, "digest": digest("d")}
        rest = {"statement": statement, "signature": signature, "key_id": member.key_id}
        yield self.entry("update.committed", "commitment:c", {**what, **rest})

    def decisions(self, member: Any) -> Iterator[str]:
        text = {"number": 2, "charter_digest": digest("another text"), "proposal": None}
        yield self.entry("charter.published", "charter-version:2", text)
        rules = {"policy_sha256": digest("other rules"), "proposal": None}
        yield self.entry("policy.changed", "policy-change:2", rules)
        version = {"version": named("version 2"), "number": 2}
        yield from self.votes(member)
        said = {**version, "outcome": "accepted", "proposed_by": member.participation}
        yield self.entry("release.decided", "proposal:released", said)
        case = {"case": named("case"), "kind": "exact_copy", "participations": []}
        yield self.entry("case.opened", "case:opened", {**case, "evidence": {"cosine": 0.999}})
        yield self.entry("case.decided", "case:decided", {**case, "state": "upheld"})
        place = {**self.members[0].who, "reason_sha256": digest("x")}
        yield self.entry("participation.expelled", "expelled:somebody", place)

    def votes(self, member: Any) -> Iterator[str]:
        """A proposal, a vote on it and its end; then what others may decide."""
        proposal = {"proposal": named("proposal")}
        what = {"kind": "release", "terms_sha256": digest("terms")}
        rule = {"quorum": 0.5, "majority": "simple", "days": 7}
        made = {"electorate": [member.participation], "rule": rule}
        yield self.entry("proposal.made", "proposal:made", {**proposal, **what, **made})
        cast = {"participation": member.participation, "choice": "yes", "number": 1}
        yield self.entry("vote.cast", "vote:cast", {**proposal, **cast})
        count = {"outcome": "accepted", "yes": 1, "no": 0, "abstained": 0, "electorate": 1}
        yield self.entry("proposal.decided", "proposal:decided", {**proposal, **what, **count})
        for kind in ("participation.suspended", "participation.restored"):
            yield self.entry(kind, kind, {**member.who, "reason_sha256": None})
        lead = {**member.who, "before": self.members[0].participation}
        yield self.entry("lead.changed", "lead:changed", lead)
        ended = {"federation": named("federation"), "reason_sha256": None}
        yield self.entry("federation.dissolved", "federation:dissolved", ended)

    def released(self, name: str, run: str, seed: str, valued: Any) -> str:
        told = super().told(name, run, seed, valued, suspects={})
        released = [
            {"participation": one["participation"], "kind": "released", "paid": one["held"], "held": -one["held"]}
            for one in told["credits"]
        ]  # fmt: skip
        said = {"reward": name, "run": run, "credits": released}
        return self.entry("reward.released", f"reward:{name}:released", said)

    def corrected(self, name: str, run: str, seed: str, valued: Any, suspect: str) -> str:
        before = super().told(name, run, seed, valued, suspects={})
        after = super().told(name, run, seed, valued, suspects={suspect: (1, 2)})
        changes = [
            {
                "participation": now["participation"],
                "kind": "corrected",
                "paid": now["paid"] + now["held"] - was["paid"] - was["held"],
                "held": 0,
            }
            for was, now in zip(before["credits"], after["credits"], strict=True)
        ]
        said = {"corrects": f"reward:{name}", **after, "changes": changes}
        return self.entry("correction", f"reward:{name}:corrected:1", said)

    def failed(self) -> Iterator[str]:
        """A round of a run that came to nothing, and of which a late update is told."""
        said = {"run": named("run 2"), "round": named("nothing"), "number": 9, "code": "quorum"}
        yield self.entry("round.failed", "round:nothing:failed", said)

    def _signed(self, member: Any, message: bytes) -> str:
        return b64encode(private_key(member.private).sign(message)).decode()


def rows() -> list[bytes]:
    return [row.encode() for row in Story().whole()]


def entry_of(row: bytes) -> Entry:
    found: Entry = json.loads(row)["entry"]
    return found


def forged(original: list[bytes], change: Callable[[int, Entry], None]) -> list[bytes]:
    """The export of a hub that lies: entries are changed, then all is hashed and signed anew."""
    story, tree, last = Story(), CompactRange(), entries.NO_ENTRY
    list(story.whole())  # for its keys: those of the members who are left
    story.tree, story.checkpoints, made = tree, [], list[bytes]()
    for row in original:
        if not row.startswith(b'{"entry":'):
            continue
        said = entry_of(row)
        change(said["index"], said)
        text = entries.canonical({**said, "prev": last.hex()})
        last = leaf_hash(text.encode())
        tree.append(last)
        made.append(f'{{"entry":{text},"leaf":"{last.hex()}"}}\n'.encode())
    story.sign()
    return [*made, *(row.encode() for row in story.ending())]


def written(path: Path, content: list[bytes]) -> Path:
    path.write_bytes(b"".join(content))
    return path

"""What hub and agent tell each other. Both sides import these messages; neither invents others.

Every message is strict JSON: unknown fields, wrong types and NaN are refused. Big things travel
beside the messages as artifacts named by their SHA-256. Nothing here imports torch.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from federation.plan import Plan
from federation.protocol_ledger import LedgerRef
from federation.protocol_parts import (
    ArtifactRef,
    BaseModelRef,
    Count,
    Finite,
    Message,
    Metrics,
    RuleName,
    Sha256,
    Share,
    TaskType,
)
from federation.protocol_values import ValueSpec

PROTOCOL_VERSION = "1.1"  # federation/negotiation.py says who understands it
PROTOCOL_HEADER = "Foedus-Protocol"
LINKS_HEADER = "Foedus-Links"  # `follow`: the agent goes where a blob's answer sends it
DECLINED_BY_POLICY: Final = "declined_by_policy"  # a failure; its detail is «rule: words»
CONTROL_LOST: Final = "control_lost"  # a metric of 1: the site had not what it was to go on from
STATEMENT_TYPE: Final = "application/vnd.foedus.update-statement.v1+json"

LabelIndex = Annotated[int, Field(ge=0, lt=10_000)]  # of a label in the plan's list
Cell = tuple[LabelIndex, LabelIndex, Annotated[int, Field(ge=1, le=10**9)]]

SCORE_BINS: Final = 256
MOST_CELLS: Final = 22_500  # of a confusion: all of them, for 150 labels


class TrainSpec(Message):
    """Train the adapter `start` for one round with the plan, at this participation's rank."""

    since = {"control": 1, "control_after": 1, "ledger": 1}
    type: Literal[TaskType.TRAIN] = TaskType.TRAIN
    plan: Plan
    plan_digest: Sha256
    base: BaseModelRef
    start: ArtifactRef  # the shared adapter, at its full rank; the agent cuts it to `rank`
    rank: Annotated[int, Field(ge=1, le=256)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    # With control variates: the server's; and which of its own the site takes beside it, by the
    # digest of the update's statement that it was made with. None: there is none yet.
    control: ArtifactRef | None = None
    control_after: Sha256 | None = None
    ledger: LedgerRef | None = None


class Candidate(Message):
    """An adapter to be evaluated; `name` comes back with the result."""

    name: Annotated[str, Field(max_length=64)]
    adapter: ArtifactRef


class EvaluateSpec(Message):
    """Evaluate adapters on the participation's own test data."""

    since = {"reference": 1}
    type: Literal[TaskType.EVALUATE] = TaskType.EVALUATE
    plan: Plan
    plan_digest: Sha256
    base: BaseModelRef
    candidates: tuple[Candidate, ...]
    # The candidate that the others are compared with, example by example.
    reference: Annotated[str, Field(max_length=64)] | None = None


Spec = Annotated[TrainSpec | EvaluateSpec | ValueSpec, Field(discriminator="type")]


class TaskOffer(Message):
    """A leased task. `fence` goes back with every later message about it."""

    id: UUID
    federation: str  # slug
    federation_name: str
    run: UUID
    round: int
    fence: Count
    lease_expires_at: datetime
    heartbeat_seconds: Annotated[float, Field(gt=0)]
    spec: Spec


class ClosedFederation(Message):
    """A federation that the site has data for, and is not asked for work now; and by which rule."""

    federation: Annotated[str, Field(max_length=80)]
    rule: RuleName


class PolicySummary(Message):
    """The site's policy as its hub may know it: names of rules and counts, nothing they say."""

    state: Literal["set", "unreadable"]  # unreadable: no work is taken
    rules: Annotated[tuple[RuleName, ...], Field(max_length=64)] = ()
    sections: Count = 0  # federations with rules of their own
    consents: Count = 0  # runs that the site consents to now
    closed: Annotated[tuple[ClosedFederation, ...], Field(max_length=200)] = ()
    device_seconds_today: Count = 0
    sent_bytes_today: Count = 0
    received_bytes_today: Count = 0


class LeaseRequest(Message):
    """What the agent says when it asks for work."""

    since = {"policy": 1, "held": 1}
    agent_version: Annotated[str, Field(max_length=32)]
    federations: Annotated[tuple[Annotated[str, Field(max_length=80)], ...], Field(max_length=200)]
    device: Annotated[str, Field(max_length=120)] = "cpu"
    busy: bool = False  # true: only reports presence, takes no task
    policy: PolicySummary | None = None
    # What it has been given and is not done with: what else the hub offered it never arrived.
    held: Annotated[tuple[UUID, ...], Field(max_length=200)] | None = None

    @model_serializer(mode="wrap")
    def _without_unused(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """A site without a policy says nothing of one, also to a hub that knows of none."""
        return {name: value for name, value in write(self).items() if value is not None}


class Progress(Message):
    """Where a task stands; numbers only, never a text."""

    since = {"tokens_per_second": 1, "device_memory_bytes": 1, "device_utilisation": 1}
    phase: Literal["fetching", "training", "evaluating", "uploading"]
    step: Count = 0
    steps: Count = 0
    loss: Finite | None = None
    learning_rate: Finite | None = None
    examples_per_second: Finite | None = None
    tokens_per_second: Finite | None = None
    device_memory_bytes: Count | None = None  # the most that the work has held
    device_utilisation: Share | None = None


class HeartbeatIn(Message):
    fence: Count
    progress: Progress


class Verdict(StrEnum):
    CONTINUE = "continue"
    CANCEL = "cancel"


class HeartbeatOut(Message):
    since = {"reveal": 1}
    verdict: Verdict
    reason: str = ""
    lease_expires_at: datetime | None = None
    reveal: bool | None = None  # whether the update may be sent; None: it always may


class UploadIn(Message):
    """Announce bytes; an artifact that the hub already has is complete at once."""

    fence: Count
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=1, le=2**50)]


class UploadOut(Message):
    id: UUID
    offset: Count
    complete: bool
    chunk_bytes: Count  # largest PATCH body the hub takes


class UpdateStatement(Message):
    """What an agent signs about its update (canonical JSON, Ed25519 over label || bytes)."""

    type: Literal["application/vnd.foedus.update-statement.v1+json"] = STATEMENT_TYPE
    protocol: str = PROTOCOL_VERSION
    federation: str
    run: UUID
    round: Annotated[int, Field(ge=1)]
    task: UUID
    participation_rank: Annotated[int, Field(ge=1, le=256)]
    plan_digest: Sha256
    start_sha256: Sha256
    update_sha256: Sha256
    size_bytes: Count
    examples: Annotated[int, Field(ge=1, le=10**9)]
    tokens: Count
    steps: Annotated[int, Field(ge=1, le=10**9)]
    device_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)]
    metrics: Metrics
    key_id: Sha256
    made_at: datetime


class UpdateIn(Message):
    fence: Count
    statement: UpdateStatement
    signature: Annotated[str, Field(max_length=128)]  # base64 Ed25519, see signatures.py


class Receipt(Message):
    """The hub's signed word that it has stored an update; the agent keeps it.

    `ledger_signature` is over the entry's place too: an agent of before checks `signature` alone.
    """

    since = {"ledger_index": 1, "entry_sha256": 1, "ledger_signature": 1}
    update: UUID
    statement_sha256: Sha256
    received_at: datetime
    hub_key_id: Sha256
    signature: str
    ledger_index: Count | None = None  # of the entry of the update in its federation's ledger
    entry_sha256: Sha256 | None = None  # its leaf hash
    ledger_signature: str | None = None

    def signed_part(self) -> dict[str, object]:
        """What the signature is over, once it is canonical JSON."""
        return self.model_dump(mode="json", include={"update", "statement_sha256", "received_at"})

    def ledger_part(self) -> dict[str, object]:
        """What `ledger_signature` is over: `signed_part`, and where in the ledger the entry is."""
        place = self.model_dump(mode="json", include={"ledger_index", "entry_sha256"})
        return {**self.signed_part(), **place}


Bins = Annotated[tuple[Count, ...], Field(min_length=SCORE_BINS, max_length=SCORE_BINS)]


class Scores(Message):
    """How high labels were scored where they were right, and where they were wrong, by bin.

    federation/tallies.py says what a score is, and where the bins lie.
    """

    right: Bins
    wrong: Bins


class Spread(Message):
    """Sums over examples from which the error of a mean follows.

    x: an example's value, summed over its t terms (1, or the tokens predicted).
    """

    squares: Finite  # Σ x²
    by_terms: Finite  # Σ x·t
    terms_squares: Finite  # Σ t²


class Paired(Message):
    """An adapter beside the reference, example by example, in sums.

    The counts are of examples that both got right, this one alone, the reference alone, neither;
    None where there are no labels.
    """

    both: Count | None = None
    gained: Count | None = None
    lost: Count | None = None
    neither: Count | None = None
    loss_sum: Finite  # Σ d, by how much more an example's loss is than with the reference
    spread: Spread  # of d


class EvaluationResult(Message):
    """Sufficient statistics of one adapter on one private test set; they add up exactly."""

    since = {"confusion": 1, "scores": 1, "spread": 1, "paired": 1}
    name: Annotated[str, Field(max_length=64)]
    examples: Annotated[int, Field(ge=1, le=10**9)]
    correct: Count | None = None  # classification: right answers
    tokens: Count = 0  # language modelling: predicted tokens
    loss_sum: Finite  # sum of the loss over examples (classification) or tokens (LM)
    # How often each label was taken for which: (true, predicted, count), none with count 0.
    confusion: Annotated[tuple[Cell, ...], Field(max_length=MOST_CELLS)] | None = None
    scores: Scores | None = None
    spread: Spread | None = None  # of the loss
    paired: Paired | None = None  # None: it is the reference itself, or there is none


class EvaluationIn(Message):
    fence: Count
    results: Annotated[tuple[EvaluationResult, ...], Field(min_length=1, max_length=64)]
    device_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)] = 0.0


class FailureIn(Message):
    """The agent could not do, or will not do, the task."""

    fence: Count
    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,63}$")]
    detail: Annotated[str, Field(max_length=500)] = ""
    retry: bool = True  # false: trying again cannot help (declined by policy, no data)


class ReleaseIn(Message):
    """The agent hands its lease back."""

    fence: Count


class EnrolmentIn(Message):
    """One-time code and a public key made at the site, with proof of possession."""

    code: Annotated[str, Field(min_length=16, max_length=128)]
    public_key: Annotated[str, Field(min_length=44, max_length=44)]  # base64 of 32 bytes
    name: Annotated[str, Field(min_length=1, max_length=80)]
    nonce: Annotated[str, Field(max_length=200)]  # from GET .../enrolments/nonce
    signature: Annotated[str, Field(max_length=128)]


class EnrolmentOut(Message):
    since = {"ledger_key": 1}
    agent: UUID
    organisation: str
    organisation_name: str
    key_id: Sha256
    hub_public_key: str
    hub_key_id: Sha256
    # The verifier key of the hub's ledgers, for the agent to pin; a hub of before says none.
    ledger_key: Annotated[str, Field(max_length=512)] = ""


class KeyIn(Message):
    """A new key for an agent, sent with the old one's signature."""

    replaces: Sha256  # id of the key that it has now
    public_key: Annotated[str, Field(min_length=44, max_length=44)]  # base64 of 32 bytes
    signature: Annotated[str, Field(max_length=128)]  # by the new key


class KeyOut(Message):
    replaces: Sha256
    replaces_until: datetime  # until then the old key is good, too


class LeaveIn(Message):
    """The agent goes for good."""

    reason: Annotated[str, Field(max_length=500)] = ""


class Place(Message):
    """A federation that the agent's organisation takes part in."""

    federation: str  # slug
    federation_name: str
    base: BaseModelRef
    base_bytes: Count
    plan: Plan | None = None  # of its newest run that was started


class StandingOut(Message):
    """Who the agent is to the hub, and what its organisation takes part in."""

    agent: UUID
    name: str
    organisation: str
    organisation_name: str
    key_id: Sha256  # of the agent's present key
    protocol: str = PROTOCOL_VERSION
    places: tuple[Place, ...] = ()


class DownloadTokenIn(Message):
    repo: Annotated[str, Field(max_length=200)]


class DownloadTokenOut(Message):
    token: str  # for the Hugging Face client; five minutes, one repository
    expires_at: datetime

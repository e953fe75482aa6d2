"""A hub that speaks the protocol and nothing else: no database, no rules, every fault on demand."""

from __future__ import annotations

import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from federation.plan import canonical
from federation.protocol import (
    EnrolmentIn,
    EvaluationIn,
    FailureIn,
    HeartbeatIn,
    LeaseRequest,
    Receipt,
    ReleaseIn,
    TaskOffer,
    UpdateIn,
    UploadIn,
)
from federation.protocol_commitments import CommitmentIn
from federation.signatures import (
    SignatureRefused,
    generate_private_key,
    key_id,
    public_key_of,
    sign_bytes,
    verify_bytes,
    verify_request,
)
from tests.agent.fake_commitments import FakeCommitments
from tests.agent.fake_http import Answer, FaultyServer, Problem, Seen, answered, ranged
from tests.agent.fake_identity import FakeIdentity
from tests.agent.fake_ledger import FakeLedger


@dataclass
class Upload:
    task: UUID
    sha256: str
    size_bytes: int
    id: UUID = field(default_factory=uuid4)
    content: bytearray = field(default_factory=bytearray)
    is_closed: bool = False

    @property
    def is_complete(self) -> bool:
        return len(self.content) == self.size_bytes


@dataclass
class Task:
    offer: TaskOffer
    state: str = "queued"
    is_heard_of: bool = False  # since it was leased
    cancel: str = ""  # what the next heartbeat is told
    heartbeats: list[HeartbeatIn] = field(default_factory=list)
    failures: list[FailureIn] = field(default_factory=list)
    releases: int = 0
    commitments: list[CommitmentIn] = field(default_factory=list)
    reveal: bool | None = None  # whether its update may be sent, where it is committed to first
    updates: list[UpdateIn] = field(default_factory=list)
    evaluations: list[EvaluationIn] = field(default_factory=list)
    receipt: Receipt | None = None


class FakeHub(FakeIdentity, FakeLedger, FakeCommitments, FaultyServer):
    def __init__(self, *, chunk_bytes: int = 4096) -> None:
        super().__init__()
        self.chunk_bytes = chunk_bytes
        self.key = generate_private_key()
        self.codes: dict[str, str] = {}
        self.keys: dict[str, bytes] = {}
        self.nonces: set[str] = set()
        self.tokens: set[str] = set()
        self.tasks: dict[UUID, Task] = {}
        self.uploads: dict[UUID, Upload] = {}
        self.blobs: dict[str, bytes] = {}
        self.repositories: dict[str, Path] = {}
        self.leases: list[LeaseRequest] = []
        self.enrolled: dict[tuple[str, bytes], str] = {}  # agents by code and key

    # What tests do.

    def code(self, state: str = "fresh") -> str:
        code = secrets.token_urlsafe(32)
        self.codes[code] = state
        return code

    def put(self, content: bytes) -> str:
        digest = sha256(content).hexdigest()
        self.blobs[digest] = content
        return digest

    def offer(self, spec: object, *, federation: str = "coast", **facts: object) -> Task:
        offer = TaskOffer.model_validate(
            {
                "id": uuid4(),
                "federation": federation,
                "federation_name": "Coast",
                "run": uuid4(),
                "round": 1,
                "fence": 0,
                "lease_expires_at": datetime.now(UTC) + timedelta(minutes=1),
                "heartbeat_seconds": 0.2,
                "spec": spec,
                **facts,
            }
        )
        with self.changed:
            task = self.tasks[offer.id] = Task(offer)
            self.changed.notify_all()
        return task

    def requeue(self, task: Task) -> None:
        """Offer a task again that was handed back."""
        with self.changed:
            task.state = "queued"
            self.changed.notify_all()

    def forget(self) -> None:
        """End what a test has left, so that the next begins with an idle agent."""
        with self.changed:
            self.faults.clear()
            for task in self.tasks.values():
                if task.state in {"queued", "leased"}:
                    task.state = "cancelled"

    # What agents call.

    def answer(self, seen: Seen) -> Answer:
        path = urlsplit(seen.path).path
        for pattern, name, is_signed in ROUTES:
            if match := re.fullmatch(pattern, f"{seen.method} {path}"):
                with self.changed:
                    if is_signed:
                        self._verify(seen)
                    answer = getattr(self, f"on_{name}")(seen, *match.groups())
                    self.changed.notify_all()
                return answer
        raise Problem(404, "not_found")

    def _verify(self, seen: Seen) -> None:
        try:
            verified = verify_request(
                method=seen.method,
                url=self.url + seen.path,
                headers=seen.headers,
                body=seen.body,
                resolve_key=self.keys.__getitem__,
                now=datetime.now(UTC),
            )
        except SignatureRefused as refused:
            raise Problem(401, refused.code) from refused
        if verified.nonce in self.nonces:
            raise Problem(401, "replayed_nonce")
        self.nonces.add(verified.nonce)
        self.signed_by(verified.key_id)

    def on_nonce(self, _seen: Seen) -> Answer:
        return answered({"nonce": "hub-nonce"})

    def on_enrol(self, seen: Seen) -> Answer:
        message = EnrolmentIn.model_validate_json(seen.body)
        public = b64decode(message.public_key)
        digest = sha256(message.code.encode()).hexdigest()
        payload = f"{self.url}\n{digest}\n{message.public_key}\n{message.nonce}".encode()
        verify_bytes(public, "fl-enrol-v1", payload, message.signature)
        if (message.code, public) not in self.enrolled:
            self._enrol(message.code, public)
        hub_public = public_key_of(self.key)
        answer = {
            "agent": self.enrolled[message.code, public],
            "organisation": "blaise",
            "organisation_name": "Blaise & Sons",
            "key_id": key_id(public),
            "hub_public_key": b64encode(hub_public).decode(),
            "hub_key_id": key_id(hub_public),
            "ledger_key": self.ledger_key,
        }
        return answered(answer, 201)

    def _enrol(self, code: str, public: bytes) -> None:
        state = self.codes.get(code, "unknown")
        if state != "fresh":
            raise Problem(404 if state == "unknown" else 410, f"code_{state}")
        if key_id(public) in self.keys:
            raise Problem(409, "key_known")
        self.codes[code], self.keys[key_id(public)] = "spent", public
        self.enrolled[code, public] = self.owners[key_id(public)] = str(uuid4())

    def on_lease(self, seen: Seen) -> Answer:
        asked = LeaseRequest.model_validate_json(seen.body)
        self.leases.append(asked)
        self.changed.notify_all()
        if not asked.busy:
            wait = float(seen.path.partition("wait=")[2])
            self.changed.wait_for(lambda: self._waiting(asked) or seen.is_gone(), wait)
        task = None if asked.busy or seen.is_gone() else self._waiting(asked)
        if task is None:
            return 204, {}, b""
        task.state, task.is_heard_of = "leased", False
        task.offer = task.offer.model_copy(update={"fence": task.offer.fence + 1})
        return answered(task.offer.model_dump(mode="json"))

    def on_heartbeats(self, seen: Seen, task_id: str) -> Answer:
        task, message = self._task(task_id), HeartbeatIn.model_validate_json(seen.body)
        task.heartbeats.append(message)
        task.is_heard_of = True
        if task.state != "leased" or message.fence != task.offer.fence:
            return answered({"verdict": "cancel", "reason": f"the task is {task.state}"})
        verdict = "cancel" if task.cancel else "continue"
        return answered({"verdict": verdict, "reason": task.cancel, "reveal": task.reveal})

    def on_failures(self, seen: Seen, task_id: str) -> Answer:
        task, message = self._task(task_id), FailureIn.model_validate_json(seen.body)
        self._require_lease(task, message.fence)
        task.failures.append(message)
        task.state = "failed"
        return answered({})

    def on_release(self, seen: Seen, task_id: str) -> Answer:
        task, message = self._task(task_id), ReleaseIn.model_validate_json(seen.body)
        if task.state == "leased" and message.fence == task.offer.fence:
            task.releases += 1
            task.state = "released"
        return answered({})

    def on_uploads(self, seen: Seen, task_id: str) -> Answer:
        task, message = self._task(task_id), UploadIn.model_validate_json(seen.body)
        self._require_lease(task, message.fence)
        open_now = [
            upload
            for upload in self.uploads.values()
            if (upload.task, upload.sha256, upload.is_closed)
            == (task.offer.id, message.sha256, False)
        ]
        upload = (
            open_now[0] if open_now else Upload(task.offer.id, message.sha256, message.size_bytes)
        )
        self.uploads[upload.id] = upload
        out = {"id": str(upload.id), "offset": len(upload.content)}
        more = {"complete": upload.is_complete, "chunk_bytes": self.chunk_bytes}
        return answered({**out, **more}, 201)

    def on_offset(self, _seen: Seen, upload_id: str) -> Answer:
        upload = self._upload(upload_id)
        return 200, {"Upload-Offset": str(len(upload.content)), "Tus-Resumable": "1.0.0"}, b""

    def on_part(self, seen: Seen, upload_id: str) -> Answer:
        upload = self._upload(upload_id)
        assert seen.headers["Content-Type"] == "application/offset+octet-stream"
        assert len(seen.body) <= self.chunk_bytes
        if int(seen.headers["Upload-Offset"]) != len(upload.content):
            raise Problem(409, "offset_mismatch")
        upload.content += seen.body
        if upload.is_complete and sha256(upload.content).hexdigest() != upload.sha256:
            upload.is_closed = True
            raise Problem(422, "digest_mismatch")
        return 204, {"Upload-Offset": str(len(upload.content))}, b""

    def on_updates(self, seen: Seen, task_id: str) -> Answer:
        task, message = self._task(task_id), UpdateIn.model_validate_json(seen.body)
        assert seen.headers["Idempotency-Key"]
        task.updates.append(message)
        statement = canonical(message.statement.model_dump(mode="json"))
        verify_bytes(
            self.keys[message.statement.key_id], "fl-update-v1", statement, message.signature
        )
        if task.receipt is None:
            self._require_lease(task, message.fence)
            digest = message.statement.update_sha256
            if not any(u.is_complete and u.sha256 == digest for u in self.uploads.values()):
                raise Problem(409, "upload_incomplete")
            task.state = "completed"
            task.receipt = self._receipt(statement)
        return answered(task.receipt.model_dump(mode="json"), 201)

    def on_evaluations(self, seen: Seen, task_id: str) -> Answer:
        task, message = self._task(task_id), EvaluationIn.model_validate_json(seen.body)
        assert seen.headers["Idempotency-Key"]
        task.evaluations.append(message)
        task.state = "completed"
        return answered({}, 201)

    def on_token(self, _seen: Seen) -> Answer:
        token = f"foe_{secrets.token_urlsafe(16)}"
        self.tokens.add(token)
        return answered({"token": token, "expires_at": datetime.now(UTC).isoformat()}, 201)

    def on_blob(self, seen: Seen, digest: str) -> Answer:
        return ranged(self.blobs[digest], seen.headers.get("Range"))

    def on_tree(self, seen: Seen, repo: str, _revision: str) -> Answer:
        files = self._repository(seen, repo)
        return answered(
            [
                {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
                for name, content in files.items()
            ]
        )

    def on_resolve(self, seen: Seen, repo: str, revision: str, name: str) -> Answer:
        files = self._repository(seen, repo)
        if name not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        status, headers, body = ranged(files[name], seen.headers.get("Range"))
        tag = sha256(files[name]).hexdigest()
        return status, {**headers, "ETag": f'"{tag}"', "X-Repo-Commit": revision}, body

    def _repository(self, seen: Seen, repo: str) -> dict[str, bytes]:
        if seen.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            raise Problem(401, "unauthorised")
        if repo not in self.repositories:
            raise Problem(404, "not_found")
        return {path.name: path.read_bytes() for path in self.repositories[repo].iterdir()}

    def _waiting(self, asked: LeaseRequest) -> Task | None:
        """What can be leased: also what was leased by an answer that nobody has got."""

        def is_lost(task: Task) -> bool:
            held = asked.held is None or task.offer.id in asked.held
            return task.state == "leased" and not task.is_heard_of and not held

        tasks = self.tasks.values()
        return next((task for task in tasks if task.state == "queued" or is_lost(task)), None)

    def _task(self, task_id: str) -> Task:
        if UUID(task_id) not in self.tasks:
            raise Problem(404, "not_found")
        return self.tasks[UUID(task_id)]

    def _upload(self, upload_id: str) -> Upload:
        upload = self.uploads.get(UUID(upload_id))
        if upload is None or upload.is_closed:
            raise Problem(410 if upload else 404, "upload_closed")
        return upload

    def _require_lease(self, task: Task, fence: int) -> None:
        if task.state != "leased" or fence != task.offer.fence:
            raise Problem(409, "lease_lost")

    def _receipt(self, statement: bytes) -> Receipt:
        unsigned = Receipt(
            update=uuid4(),
            statement_sha256=sha256(statement).hexdigest(),
            received_at=datetime.now(UTC),
            hub_key_id=key_id(public_key_of(self.key)),
            signature="",
        )
        signature = sign_bytes(self.key, "fl-receipt-v1", canonical(unsigned.signed_part()))
        return unsigned.model_copy(update={"signature": signature})


LEDGER = r"/api/v1/agent/ledgers/([0-9a-f-]{36})"
TASK, UPLOAD = r"/api/v1/agent/tasks/([0-9a-f-]{36})", r"/api/v1/agent/uploads/([0-9a-f-]{36})"
ROUTES = [  # what it matches, what answers, whether it must be signed
    (r"GET /api/v1/agent/enrolments/nonce", "nonce", False),
    (r"POST /api/v1/agent/enrolments", "enrol", False),
    (r"POST /api/v1/agent/keys", "keys", True),
    (r"POST /api/v1/agent/leave", "leave", True),
    (r"GET /api/v1/agent/standing", "standing", True),
    (r"GET /livez", "alive", False),
    (r"POST /api/v1/agent/leases", "lease", True),
    (rf"POST {TASK}/heartbeats", "heartbeats", True),
    (rf"POST {TASK}/failures", "failures", True),
    (rf"POST {TASK}/release", "release", True),
    (rf"POST {TASK}/uploads", "uploads", True),
    (rf"POST {TASK}/commitments", "commitments", True),
    (rf"POST {TASK}/updates", "updates", True),
    (rf"POST {TASK}/evaluations", "evaluations", True),
    (rf"HEAD {UPLOAD}", "offset", True),
    (rf"PATCH {UPLOAD}", "part", True),
    (rf"GET {LEDGER}/checkpoint", "checkpoint", True),
    (rf"POST {LEDGER}/cosignatures", "cosignatures", True),
    (r"POST /api/v1/agent/download-tokens", "token", True),
    (r"GET /api/v1/blobs/([0-9a-f]{64})", "blob", True),
    (r"GET /hf/api/models/([^/]+/[^/]+)/tree/(\w+)", "tree", False),
    (r"(?:GET|HEAD) /hf/([^/]+/[^/]+)/resolve/(\w+)/(.+)", "resolve", False),
]

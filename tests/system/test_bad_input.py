"""What should never come, over real HTTP: a stated status, a stable code, nothing stored or lost."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.system.courier import Courier, changed, opened, safetensors
from tests.system.plays import Plays
from tests.system.processes import wait_until
from tests.system.stack import Stack

pytestmark = pytest.mark.system

COUNTED = """
    SELECT (SELECT count(*) FROM runs_update) AS updates,
           (SELECT count(*) FROM catalogue_artifact) AS artifacts,
           (SELECT count(*) FROM catalogue_upload WHERE state <> 'closed') AS uploads,
           (SELECT coalesce(sum("offset"), 0) FROM catalogue_upload) AS bytes,
           (SELECT count(*) FROM contributions_contributionfact
            WHERE outcome = 'accepted') AS facts,
           (SELECT count(*) FROM runs_task WHERE state = 'leased') AS leases
"""


@pytest.fixture
def courier(stack: Stack, plays: Plays) -> Iterator[Courier]:
    """Grace's agent holds a task; what is left of it afterwards is cancelled."""
    courier = Courier(stack, plays.origin)
    yield courier
    if stack.state(courier.run) == "running":
        stack.ada.post(f"/runs/{courier.run}/cancel")


@contextmanager
def nothing_stored(stack: Stack) -> Iterator[None]:
    before = stack.sql(COUNTED)
    yield
    assert stack.sql(COUNTED) == before


def refused(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    problem = answer.json()
    assert (problem["code"], problem["status"]) == (code, status), problem
    assert problem["request_id"]
    assert "Traceback" not in answer.text


def with_extra(content: bytes) -> bytes:
    header, data = opened(content)
    header["extra"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
    return safetensors(header, data + bytes(4))


def without_last(content: bytes) -> bytes:
    header, data = opened(content)
    entries = {k: v for k, v in header.items() if k != "__metadata__"}
    last = max(entries, key=lambda name: entries[name]["data_offsets"])
    cut = header.pop(last)["data_offsets"][0]
    return safetensors(header, data[:cut])


def twice_named(content: bytes) -> bytes:
    header, data = opened(content)
    name = next(k for k in header if k != "__metadata__")
    text = json.dumps(header)[:-1] + f', "{name}": {json.dumps(header[name])}}}'
    return safetensors(text.encode(), data)


def transposed(content: bytes) -> bytes:
    header, _ = opened(content)
    name = next(key for key in header if key.endswith("lora_A.weight"))
    return changed(content, name, {"shape": header[name]["shape"][::-1]})


MALFORMED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "five_bytes": (lambda _: b"\x05\0\0\0\0", "too_short"),
    "huge_header": (lambda c: struct.pack("<Q", 2**63) + c[8:], "header_too_large"),
    "past_the_end": (lambda c: struct.pack("<Q", len(c)) + c[8:], "header_length"),
    "no_json": (lambda _: safetensors(b"{nothing}"), "header_json"),
    "named_twice": (twice_named, "duplicate_name"),
    "transposed": (transposed, "shape_mismatch"),
    "half_as_wide": (lambda c: changed(c, "lora_A.weight", {"dtype": "BF16"}), "shape"),
    "extra_tensor": (with_extra, "extra_tensor"),
    "missing_tensor": (without_last, "missing_tensor"),
    "trailing_byte": (lambda c: c + b"\0", "trailing_bytes"),
    "cut_short": (lambda c: c[:-1], "offsets"),
    "pickle": (lambda _: pickle.dumps({"weights": list(range(100))}), "format"),
    "gzip": (gzip.compress, "format"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_update_is_refused_and_a_good_one_counts(courier: Courier, name: str) -> None:
    spoil, code = MALFORMED[name]
    bad = spoil(courier.moved())
    courier.upload(bad)
    with nothing_stored(courier.stack):
        refused(courier.submit(bad), 422, code)
    blob = courier.stack.ada.http.get(f"/blobs/{courier.statement(bad)['update_sha256']}")
    assert blob.status_code == 404


def test_after_refusals_a_good_update_still_counts(courier: Courier) -> None:
    good = courier.moved()
    refused(courier.submit(good), 409, "upload_incomplete")
    courier.upload(good)
    refused(courier.submit(good, round=2), 422, "statement_mismatch")
    first = courier.submit(good)
    assert first.status_code == 201, first.text
    assert courier.stack.wait_for_end(courier.run) == "completed"
    refused(courier.submit(good, examples=11), 409, "already_submitted")


def test_what_is_not_a_number_is_rejected_and_counts_for_nothing(courier: Courier) -> None:
    bad = courier.start()[:-4] + struct.pack("<f", float("nan"))
    courier.upload(bad)
    assert courier.submit(bad).status_code == 201
    assert courier.stack.wait_for_end(courier.run) == "failed"
    (update,) = courier.stack.ada.all("/updates", run=str(courier.run))
    assert (update["state"], update["verdict_code"]) == ("rejected", "non_finite")
    assert courier.stack.ada.all("/versions", run=str(courier.run)) == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"start_sha256": "0" * 64}, 412, "base_model_mismatch"),
        ({"plan_digest": "0" * 64}, 422, "statement_mismatch"),
        ({"task": "7d444840-9dc0-41d1-b245-5ffdce74fad2"}, 422, "statement_mismatch"),
        ({"size_bytes": 1}, 422, "statement_mismatch"),
        ({"examples": 0}, 422, "invalid"),
        ({"examples": -1}, 422, "invalid"),
        ({"examples": 2**50}, 422, "invalid"),
        ({"examples": True}, 422, "invalid"),
        ({"examples": "10"}, 422, "invalid"),
        ({"score": 1}, 422, "invalid"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_statement_that_cannot_be_true_is_refused(
    stack: Stack, held: Courier, changes: dict[str, Any], status: int, code: str
) -> None:
    good = held.moved()
    held.upload(good)
    with nothing_stored(stack):
        refused(held.submit(good, **changes), status, code)


@pytest.fixture(scope="module")
def shared(stack: Stack, plays: Plays) -> Iterator[Courier]:
    courier = Courier(stack, plays.origin)
    yield courier
    stack.ada.post(f"/runs/{courier.run}/cancel")


@pytest.fixture
def held(shared: Courier) -> Courier:
    """A task that many tests look at; its lease is a fresh one."""
    beat = {"fence": shared.offer["fence"], "progress": {"phase": "training"}}
    if shared.hand.post(f"{shared.task}/heartbeats", beat).json()["verdict"] != "continue":
        shared.lease()
    return shared


@pytest.mark.parametrize("what", ["heartbeats", "uploads", "updates", "failures", "release"])
def test_a_task_of_another_organisation_does_not_exist(
    stack: Stack, held: Courier, what: str
) -> None:
    of_ada = stack.value(
        "SELECT id FROM runs_task WHERE participation_id = %s LIMIT 1", stack.participation("ada")
    )
    fence = {"fence": 1}
    good = held.moved()
    messages = {
        "heartbeats": {**fence, "progress": {"phase": "training"}},
        "uploads": {**fence, "sha256": "0" * 64, "size_bytes": 10},
        "updates": held.submission(good),
        "failures": {**fence, "code": "no_data"},
        "release": fence,
    }
    with nothing_stored(stack):
        theirs = held.hand.post(f"tasks/{of_ada}/{what}", messages[what])
        refused(theirs, 404, "not_found")
        nobodys = held.hand.post(f"tasks/{uuid4()}/{what}", messages[what])
        refused(nobodys, 404, "not_found")
    assert theirs.json()["detail"] == nobodys.json()["detail"]


def test_an_expired_lease_is_lost(stack: Stack, held: Courier) -> None:
    good = held.moved()
    held.upload(good)
    old = held.submission(good)
    wait_until(lambda: not leased(stack, held), what="the lease does not expire")
    with nothing_stored(stack):
        refused(held.hand.post(f"{held.task}/updates", old), 409, "lease_lost")
        refused(held.announce(good), 409, "lease_lost")
    held.lease()
    assert held.offer["fence"] > old["fence"]
    with nothing_stored(stack):
        refused(held.hand.post(f"{held.task}/updates", old), 409, "lease_lost")


def leased(stack: Stack, held: Courier) -> bool:
    query = "SELECT state = 'leased' FROM runs_task WHERE id = %s"
    return bool(stack.value(query, held.offer["id"]))


def test_a_request_that_comes_again_is_a_replay(stack: Stack, held: Courier) -> None:
    path = f"/api/v1/agent/{held.task}/heartbeats"
    body = json.dumps({"fence": held.offer["fence"], "progress": {"phase": "training"}}).encode()
    headers = held.hand.headers("POST", path, body)
    send = partial(held.hand.http.post, held.hand.url + path, headers=headers)
    assert send(content=body).status_code == 200
    refused(send(content=body), 401, "replayed_nonce")
    refused(send(content=body + b" "), 401, "bad_digest")


def test_a_request_without_a_signature_is_nobodys(stack: Stack, held: Courier) -> None:
    answer = held.hand.http.post(f"{stack.url}/api/v1/agent/{held.task}/heartbeats", json={})
    refused(answer, 401, "not_authenticated")


def test_more_than_may_be_uploaded_is_refused(stack: Stack, held: Courier) -> None:
    with nothing_stored(stack):
        refused(held.announce(b"", size_bytes=9 << 30), 413, "upload_too_large")
        refused(held.announce(b"", size_bytes=1 << 62), 422, "invalid")


def test_parts_that_are_not_what_was_announced_do_not_count(stack: Stack, held: Courier) -> None:
    content = os.urandom(9000)
    session = held.announce(content).json()["id"]
    with nothing_stored(stack):
        refused(held.part(session, content[:5000], 0), 413, "part_too_large")
        refused(held.part(session, content[:4096], 1), 409, "offset_mismatch")
        refused(held.part(session, content[:9], 0, Upload_Offset="-1"), 400, "bad_upload_header")
        refused(
            held.part(session, content[:9], 0, Content_Encoding="gzip"), 415, "content_encoding"
        )
        refused(held.part(session, content[:9], 0, Content_Type="text/html"), 415, "media_type")
        refused(held.part(str(uuid4()), content[:9], 0), 404, "not_found")
    assert held.part(session, content[:4096], 0).status_code == 204
    assert held.part(session, content[4096:8192], 4096).status_code == 204
    refused(held.part(session, content[8192:] + b"more", 8192), 413, "upload_too_large")
    refused(held.part(session, content[8192:], 8192), 410, "upload_closed")


def test_bytes_with_another_digest_are_dropped(stack: Stack, held: Courier) -> None:
    content = os.urandom(100)
    session = held.announce(content).json()["id"]
    artifacts = stack.value("SELECT count(*) FROM catalogue_artifact")
    refused(held.part(session, content[::-1], 0), 422, "digest_mismatch")
    refused(held.part(session, content, 0), 410, "upload_closed")
    assert stack.value("SELECT count(*) FROM catalogue_artifact") == artifacts
    assert not list((stack.folder / "hub" / "uploads").iterdir())


BROKEN = {
    "not_json": (b'{"fence": ', 400, "malformed"),
    "twice_the_same": (b'{"fence": 1, "fence": 2}', 400, "malformed"),
    "not_a_number": (b'{"fence": NaN}', 400, "malformed"),
    "deep": (b"[" * 2000, 400, "malformed"),
    "utf_16": ('{"fence": 1}'.encode("utf-16"), 400, "malformed"),
    "a_list": (b"[]", 422, "invalid"),
    "text_for_a_number": (b'{"fence": "1", "code": "no_data"}', 422, "invalid"),
    "unknown_field": (b'{"fence": 1, "code": "no_data", "role": "owner"}', 422, "invalid"),
    "negative": (b'{"fence": -1, "code": "no_data"}', 422, "invalid"),
    "huge": (b" " * (2**20 + 1), 413, "too_large"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json_changes_nothing(stack: Stack, held: Courier, name: str) -> None:
    body, status, code = BROKEN[name]
    with nothing_stored(stack):
        refused(held.hand.post(f"{held.task}/failures", body), status, code)


def test_json_is_sent_as_json(stack: Stack, held: Courier) -> None:
    with nothing_stored(stack):
        answer = held.hand.post(f"{held.task}/failures", b"fence: 1", Content_Type="text/yaml")
        refused(answer, 415, "unsupported_media_type")


def test_an_update_needs_a_key_to_be_repeated_by(stack: Stack, held: Courier) -> None:
    good = held.moved()
    held.upload(good)
    with nothing_stored(stack):
        answer = held.hand.send("POST", f"{held.task}/updates", held.submission(good))
        refused(answer, 428, "idempotency_key_missing")


def test_people_have_no_business_where_agents_talk(stack: Stack, held: Courier) -> None:
    answer = stack.ada.http.post(f"/agent/{held.task}/heartbeats", json={"fence": 1})
    assert answer.status_code in {401, 403}
    path = "/api/v1/runs"
    headers = held.hand.headers("GET", path, b"")
    assert held.hand.http.get(stack.url + path, headers=headers).status_code in {401, 403}

"""A captured request, changed in every way we could think of, is refused with the right code."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.algorithms import ED25519

from federation import keys
from federation.signatures import (
    COMPONENTS,
    TAG,
    SignatureRefused,
    Verified,
    check_digest,
    key_id,
    new_nonce,
    public_key_of,
    verify_head,
    verify_request,
)
from tests.federation.captured import (
    ADA,
    ADA_ID,
    BLAISE,
    BLAISE_ID,
    KNOWN,
    NONCE,
    NOW,
    Captured,
    request,
    signed_otherwise,
)


def verify(captured: Captured, known: dict[str, bytes] | None = None) -> Verified:
    return verify_request(
        method=captured.method,
        url=captured.url,
        headers=captured.headers,
        body=captured.body,
        resolve_key=(KNOWN if known is None else known).__getitem__,
        now=captured.now,
    )


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(SignatureRefused) as refused:
        action()
    return refused.value.code


GOOD = request()
DIGEST_OF_EMPTY = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
SIGNATURE = GOOD.headers["Signature"]
INPUT = GOOD.headers["Signature-Input"]


def later(seconds: float) -> Captured:
    return replace(GOOD, now=NOW + timedelta(seconds=seconds))


def at(place: str, text: str) -> str:
    return GOOD.url.replace(place, text)


MUTATIONS: dict[str, tuple[Captured, str]] = {
    # 97: nothing, or half of a signature
    "no signature": (GOOD.having(signature=None, signature_input=None), "unsigned"),
    "signature taken away": (GOOD.having(signature=None), "unsigned"),
    "signature input taken away": (GOOD.having(signature_input=None), "unsigned"),
    # 98: time
    "ten minutes old": (later(600), "clock_skew"),
    "two minutes and two seconds old": (later(122), "clock_skew"),
    "ten minutes ahead": (later(-600), "clock_skew"),
    "two minutes and one second ahead": (later(-121.9), "clock_skew"),
    "expired after ten seconds": (
        replace(signed_otherwise(lifetime=timedelta(seconds=10)), now=NOW + timedelta(seconds=11)),
        "expired",
    ),
    "created moved to now": (
        replace(GOOD.rewritten(r"created=\d+", "created=1772600000"), now=NOW),
        "malformed",
    ),
    "created moved by a second": (
        GOOD.rewritten(r"created=\d+", f"created={int(NOW.timestamp()) + 1}"),
        "bad_signature",
    ),
    "expires moved to a shorter life": (
        GOOD.rewritten(r"expires=\d+", f"expires={int(NOW.timestamp()) + 60}"),
        "bad_signature",
    ),
    "a life of an hour": (signed_otherwise(lifetime=timedelta(hours=1)), "malformed"),
    "no life at all": (signed_otherwise(lifetime=timedelta()), "malformed"),
    "expires before created": (signed_otherwise(lifetime=timedelta(seconds=-5)), "malformed"),
    "no expires": (signed_otherwise(lifetime=None), "malformed"),
    "created as a date": (GOOD.rewritten(r"created=", "created=@"), "malformed"),
    "created as a fraction": (GOOD.rewritten(r"(?<=created=)\d+", "1.5"), "malformed"),
    "created as text": (GOOD.rewritten(r"(?<=created=)\d+", '"1"'), "malformed"),
    "created of fifteen digits": (
        GOOD.rewritten(
            r"created=\d+(.*)expires=\d+",
            f'created={"9" * 15};keyid="{ADA_ID}";alg="ed25519";expires={"9" * 15}',
        ),
        "malformed",
    ),
    # 100: the body
    "other body": (replace(GOOD, body=b'{"fence": 4}'), "bad_digest"),
    "no body": (replace(GOOD, body=b""), "bad_digest"),
    "other body and its digest": (
        replace(GOOD.having(content_digest=DIGEST_OF_EMPTY), body=b""),
        "bad_signature",
    ),
    "digest taken away": (GOOD.having(content_digest=None), "components"),
    # 101: what was asked
    "other method": (replace(GOOD, method="PUT"), "bad_signature"),
    "lower-case method": (replace(GOOD, method="post"), "malformed"),
    "other path": (replace(GOOD, url=at("leases", "enrolments")), "bad_signature"),
    "path in other case": (replace(GOOD, url=at("leases", "Leases")), "bad_signature"),
    "path with a slash more": (replace(GOOD, url=at("leases", "leases/")), "bad_signature"),
    "path with dots": (replace(GOOD, url=at("agent/", "agent/../agent/")), "bad_signature"),
    "other query": (replace(GOOD, url=at("25", "26")), "bad_signature"),
    "query longer": (replace(GOOD, url=GOOD.url + "&x=1"), "bad_signature"),
    "query decoded": (replace(GOOD, url=at("%2F", "/")), "bad_signature"),
    "query taken away": (replace(GOOD, url=GOOD.url.split("?")[0]), "bad_signature"),
    "other host": (replace(GOOD, url=at("hub.example", "evil.example")), "bad_signature"),
    "other port": (replace(GOOD, url=at("hub.example", "hub.example:8443")), "bad_signature"),
    "no host": (replace(GOOD, url="/api/v1/agent/leases?wait=25"), "malformed"),
    "a space in the path": (replace(GOOD, url=at("leases", "lea ses")), "malformed"),
    "other content type": (GOOD.having(content_type="text/plain"), "bad_signature"),
    "content type taken away": (GOOD.having(content_type=None), "components"),
    "content type with a line break": (GOOD.having(content_type="a/b\r\nx: y"), "malformed"),
    "method not covered": (signed_otherwise(components=COMPONENTS[1:]), "components"),
    "authority not covered": (
        signed_otherwise(components=(COMPONENTS[0], *COMPONENTS[2:])),
        "components",
    ),
    "path not covered": (
        signed_otherwise(components=(*COMPONENTS[:2], *COMPONENTS[3:])),
        "components",
    ),
    "query not covered": (
        signed_otherwise(components=(*COMPONENTS[:3], *COMPONENTS[4:])),
        "components",
    ),
    "content type not covered": (signed_otherwise(components=COMPONENTS[:-1]), "components"),
    "a component more": (
        signed_otherwise(components=(*COMPONENTS, "idempotency-key")),
        "components",
    ),
    "components in another order": (signed_otherwise(components=COMPONENTS[::-1]), "components"),
    "a component with a parameter": (
        GOOD.rewritten('"content-type"', '"content-type";sf'),
        "components",
    ),
    "a component twice": (GOOD.rewritten('"@path"', '"@path" "@path"'), "components"),
    "no components": (GOOD.rewritten(r"\(.*\)", "()"), "components"),
    # 102, 103, 106, 107: the key
    "unknown key": (signed_otherwise(name="0" * 64), "unknown_key"),
    "key id of a path": (signed_otherwise(name="../../etc/passwd"), "unknown_key"),
    "key id of SQL": (signed_otherwise(name="' OR 1=1 --"), "unknown_key"),
    "key id in capitals": (signed_otherwise(name=ADA_ID.upper()), "unknown_key"),
    "empty key id": (signed_otherwise(name=""), "unknown_key"),
    "key id of another": (GOOD.rewritten(ADA_ID, BLAISE_ID), "bad_signature"),
    "signed with another key": (signed_otherwise(key=BLAISE), "bad_signature"),
    "key id as a token": (GOOD.rewritten(r'keyid="\w+"', "keyid=abc"), "malformed"),
    "no key id": (GOOD.rewritten(r';keyid="\w+"', ""), "malformed"),
    # 104: the algorithm
    "algorithm none": (GOOD.rewritten('"ed25519"', '"none"'), "algorithm"),
    "algorithm HMAC": (GOOD.rewritten('"ed25519"', '"hmac-sha256"'), "algorithm"),
    "algorithm RSA": (GOOD.rewritten('"ed25519"', '"rsa-v1_5-sha256"'), "algorithm"),
    "algorithm in capitals": (GOOD.rewritten('"ed25519"', '"Ed25519"'), "algorithm"),
    "no algorithm": (signed_otherwise(alg=False), "malformed"),
    # 105: more than one signature
    "a second, forged signature": (
        GOOD.having(
            signature=f"{SIGNATURE}, evil=:{'A' * 86}==:",
            signature_input=f"{INPUT}, {INPUT.replace('sig=', 'evil=', 1)}",
        ),
        "malformed",
    ),
    "the same signature twice": (
        GOOD.having(signature=f"{SIGNATURE}, {SIGNATURE}", signature_input=f"{INPUT}, {INPUT}"),
        "malformed",
    ),
    "a second header of another case": (
        replace(GOOD, headers=GOOD.headers | {"SIGNATURE": SIGNATURE}),
        "malformed",
    ),
    "a second value": (GOOD.having(signature=f"{SIGNATURE}, x=:AAAA:"), "malformed"),
    "another label": (GOOD.having(signature=SIGNATURE.replace("sig=", "gis=")), "malformed"),
    # tag, nonce, form
    "other tag": (signed_otherwise(tag="fl-browser"), "tag"),
    "tag changed": (GOOD.rewritten("fl-agent", "fl-agenu"), "tag"),
    "no tag": (signed_otherwise(tag=None), "malformed"),
    "nonce changed": (GOOD.rewritten(NONCE, NONCE[::-1]), "bad_signature"),
    "short nonce": (signed_otherwise(nonce="abc"), "malformed"),
    "nonce of 65 characters": (signed_otherwise(nonce="a" * 65), "malformed"),
    "nonce of SQL": (signed_otherwise(nonce="'; DROP TABLE nonces; --aaaaaa"), "malformed"),
    "no nonce": (signed_otherwise(nonce=None), "malformed"),
    "a parameter more": (GOOD.having(signature_input=INPUT + ";x=1"), "malformed"),
    "a parameter twice": (GOOD.having(signature_input=INPUT + ';tag="fl-agent"'), "malformed"),
    "a bit of the signature": (
        GOOD.having(
            signature=SIGNATURE[:10] + ("A" if SIGNATURE[10] != "A" else "B") + SIGNATURE[11:]
        ),
        "bad_signature",
    ),
    "an empty signature": (GOOD.having(signature="sig=::"), "bad_signature"),
    "a signature of zeros": (GOOD.having(signature=f"sig=:{'A' * 86}==:"), "bad_signature"),
    "a signature as text": (GOOD.having(signature='sig="abc"'), "malformed"),
    "a signature with a parameter": (GOOD.having(signature=SIGNATURE + ";x"), "malformed"),
    "a signature that is no field": (GOOD.having(signature="sig=:!:"), "malformed"),
    "an input that is no list": (GOOD.having(signature_input="sig=1;created=1"), "malformed"),
    "an input cut short": (GOOD.having(signature_input=INPUT[:30]), "malformed"),
    "an empty input": (GOOD.having(signature_input=""), "malformed"),
    "an endless input": (GOOD.having(signature_input=INPUT + " " * 2000), "malformed"),
    "an input that is not ASCII": (GOOD.having(signature_input=INPUT + "é"), "malformed"),
}


@pytest.mark.parametrize(("captured", "code"), MUTATIONS.values(), ids=MUTATIONS)
def test_a_changed_request_is_refused(captured, code):
    assert code_of(lambda: verify(captured)) == code


def test_there_are_more_changes_than_the_threat_model_asks_for():
    assert len(MUTATIONS) >= 41
    assert {code for _, code in MUTATIONS.values()} == {
        "unsigned", "malformed", "components", "algorithm", "tag",
        "clock_skew", "expired", "unknown_key", "bad_digest", "bad_signature",
    }  # fmt: skip


def test_the_request_itself_is_accepted():
    assert verify(GOOD) == Verified(ADA_ID, NONCE, NOW.replace(microsecond=0))


@pytest.mark.parametrize("seconds", [-119, 0, 60, 119])
def test_clocks_may_differ_by_two_minutes(seconds):
    assert verify(later(seconds)).key_id == ADA_ID


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "GET", "body": b"", "headers": {}},
        {"url": "https://hub.example"},
        {"url": "http://127.0.0.1:8000/a/b%20c?"},
        {"url": "https://HUB.example:443/x?y=%C3%A4&z"},
        {"method": "PATCH", "body": bytes(100_000), "headers": {"content-type": "a/b; c=d"}},
        {"now": NOW.astimezone(timezone(timedelta(hours=9)))},
    ],
    ids=["GET without a body", "bare host", "port and empty query", "capitals", "bytes", "zone"],
)
def test_any_request_can_be_signed(changed):
    assert verify(request(**changed)).nonce == NONCE


def test_a_default_port_and_the_case_of_the_host_are_the_same_authority():
    assert verify(replace(GOOD, url=at("hub.example", "HUB.example:443"))).key_id == ADA_ID


def test_headers_that_are_not_signed_may_change_on_the_way():
    assert verify(GOOD.having(user_agent="proxy", idempotency_key="k-2")).key_id == ADA_ID


def test_header_names_have_no_case():
    lower = {name.lower(): value for name, value in GOOD.headers.items()}
    assert verify(replace(GOOD, headers=lower)).key_id == ADA_ID


def test_signing_again_replaces_the_first_signature():
    headers = dict(GOOD.headers)
    again = request(headers=headers, body=b"other", now=NOW + timedelta(seconds=30))
    assert verify(again).created == (NOW + timedelta(seconds=30)).replace(microsecond=0)


def test_a_revoked_key_is_an_unknown_one():
    assert code_of(lambda: verify(GOOD, known={})) == "unknown_key"


def test_a_key_that_is_not_the_one_of_its_id_is_refused():
    assert code_of(lambda: verify(GOOD, known={ADA_ID: public_key_of(BLAISE)})) == "unknown_key"


def test_a_key_of_small_order_is_refused_even_when_it_is_known():
    neutral = b"\x01" + bytes(31)
    captured = signed_otherwise(name=key_id(neutral)).having(
        signature=f"sig=:{b64encode(neutral + bytes(32)).decode()}:"
    )
    assert code_of(lambda: verify(captured, known={key_id(neutral): neutral})) == "unknown_key"


def test_only_well_formed_key_ids_are_looked_up():
    asked: list[str] = []

    def resolve(name: str) -> bytes:
        asked.append(name)
        raise KeyError(name)

    for captured in (GOOD, MUTATIONS["key id of SQL"][0], MUTATIONS["ten minutes old"][0]):
        with pytest.raises(SignatureRefused):
            verify_head(
                method=captured.method,
                url=captured.url,
                headers=captured.headers,
                resolve_key=resolve,
                now=captured.now,
            )
    assert asked == [ADA_ID]


def test_the_head_can_be_verified_before_the_body_is_there():
    verified = verify_head(
        method=GOOD.method,
        url=GOOD.url,
        headers=GOOD.headers,
        resolve_key=KNOWN.__getitem__,
        now=NOW,
    )
    assert verified.key_id == ADA_ID
    check_digest(GOOD.headers, hashlib.sha256(GOOD.body).digest())
    assert code_of(lambda: check_digest(GOOD.headers, hashlib.sha256(b"").digest())) == "bad_digest"


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha-256=abc",
        "sha-256=:AAAA:",
        "sha-512=:AAAA:",
        "md5=:AAAA:",
        DIGEST_OF_EMPTY + ", sha-512=:AAAA:",
        DIGEST_OF_EMPTY + ", " + DIGEST_OF_EMPTY,
        "not a digest",
    ],
)
def test_a_digest_is_one_sha_256(digest):
    headers = {"Content-Digest": digest}
    assert code_of(lambda: check_digest(headers, hashlib.sha256(b"").digest())) == "bad_digest"


def test_the_library_s_own_verifier_accepts_what_we_sign():
    captured = request(now=datetime.now(UTC))
    resolver = MappingKeyResolver(
        public_keys={ADA_ID: keys.public_key(KNOWN[ADA_ID])}, private_keys={}
    )
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=resolver)
    (result,) = verifier.verify(
        captured,
        max_age=timedelta(seconds=120),
        expect_tag=TAG,
        require_components=COMPONENTS,
        body=captured.body,
    )
    assert result.nonce == NONCE


def test_we_accept_another_order_of_the_parameters():
    """What is signed is the field as it came, so a client may order its parameters as it likes."""
    head, *parameters = INPUT.split(";")
    reordered = ";".join([head, *reversed(parameters)])
    base = "\n".join(
        [
            '"@method": POST',
            '"@authority": hub.example',
            '"@path": /api/v1/agent/leases',
            '"@query": ?wait=25&a=%2F',
            f'"content-digest": {GOOD.headers["Content-Digest"]}',
            '"content-type": application/json',
            f'"@signature-params": {reordered.removeprefix("sig=")}',
        ]
    )
    value = b64encode(keys.private_key(ADA).sign(base.encode())).decode()
    captured = GOOD.having(signature_input=reordered, signature=f"sig=:{value}:")
    assert verify(captured).key_id == ADA_ID


def test_nonces_are_new_and_long_enough():
    nonces = {new_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(nonce) == 22 for nonce in nonces)

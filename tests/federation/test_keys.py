"""Ed25519 keys: RFC 8032's vectors, and the fourteen encodings that are nobody's key."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from federation.keys import (
    BadKey,
    BadSignature,
    check_public_key,
    generate_private_key,
    key_id,
    private_key,
    public_key,
    public_key_of,
    sign_bytes,
    verify_bytes,
)

# RFC 8032, section 7.1, TEST 1.
PRIVATE = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
    "d25bf5f0595bbe24655141438e7a100b"
)

FF = "ff" * 30
EIGHTH = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc"
OTHER_EIGHTH = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03"
SMALL_ORDER = {
    "order 1": "01" + "00" * 31,
    "order 2": "ec" + FF + "7f",
    "order 4": "00" * 32,
    "order 4, negative": "00" * 31 + "80",
    "order 8": EIGHTH + "05",
    "order 8, negative": EIGHTH + "85",
    "order 8, other": OTHER_EIGHTH + "7a",
    "order 8, other negative": OTHER_EIGHTH + "fa",
}
NOT_CANONICAL = {
    "order 1 with a sign": "01" + "00" * 30 + "80",
    "order 2 with a sign": "ec" + FF + "ff",
    "y = p": "ed" + FF + "7f",
    "y = p, negative": "ed" + FF + "ff",
    "y = p + 1": "ee" + FF + "7f",
    "y = p + 1, negative": "ee" + FF + "ff",
}


def test_there_are_fourteen_of_them():
    assert len({*SMALL_ORDER.values(), *NOT_CANONICAL.values()}) == 14


@pytest.mark.parametrize("raw", SMALL_ORDER.values(), ids=SMALL_ORDER)
def test_a_key_of_small_order_is_refused(raw):
    with pytest.raises(BadKey, match="small order"):
        check_public_key(bytes.fromhex(raw))


@pytest.mark.parametrize("raw", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_a_second_encoding_of_a_key_is_refused(raw):
    with pytest.raises(BadKey, match="not a canonical encoding"):
        check_public_key(bytes.fromhex(raw))


def test_why_small_order_is_refused_a_signature_for_every_message():
    """Without the check, R = neutral and S = 0 sign anything for the neutral point as a key."""
    neutral = bytes.fromhex(SMALL_ORDER["order 1"])
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"I owe you everything")
    with pytest.raises(BadKey):
        verify_bytes(neutral, "label", b"I owe you everything", "AA==")


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_has_32_bytes(size):
    with pytest.raises(BadKey, match="bytes"):
        check_public_key(bytes(size))


def test_half_of_all_numbers_are_no_point_of_the_curve():
    refused = 0
    for y in range(2, 202):
        try:
            check_public_key(y.to_bytes(32, "little"))
        except BadKey:
            refused += 1
    assert 70 < refused < 130


@given(private=st.binary(min_size=32, max_size=32))
def test_every_private_key_has_a_good_public_key(private):
    check_public_key(public_key_of(private))


def test_the_vector_of_the_rfc():
    assert public_key_of(PRIVATE) == PUBLIC
    assert private_key(PRIVATE).sign(b"") == SIGNATURE
    public_key(PUBLIC).verify(SIGNATURE, b"")


def test_a_key_is_named_by_the_hash_of_its_bytes():
    assert key_id(PUBLIC) == hashlib.sha256(PUBLIC).hexdigest()


def test_new_keys_differ():
    assert generate_private_key() != generate_private_key()
    assert len(generate_private_key()) == 32


def test_what_was_signed_verifies():
    verify_bytes(PUBLIC, "update", b"payload", sign_bytes(PRIVATE, "update", b"payload"))


@pytest.mark.parametrize(
    ("label", "payload"), [("receipt", b"payload"), ("update", b"other"), ("updat", b"e\0payload")]
)
def test_a_signature_serves_for_nothing_else(label, payload):
    signature = sign_bytes(PRIVATE, "update", b"payload")
    with pytest.raises(BadSignature):
        verify_bytes(PUBLIC, label, payload, signature)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "ü", "A" * 88, "=" * 4])
def test_what_is_no_signature_is_refused(signature):
    with pytest.raises(BadSignature):
        verify_bytes(PUBLIC, "update", b"payload", signature)


def test_another_key_did_not_sign():
    signature = sign_bytes(generate_private_key(), "update", b"payload")
    with pytest.raises(BadSignature):
        verify_bytes(PUBLIC, "update", b"payload", signature)


@pytest.mark.parametrize("label", ["", "a\0b"])
def test_a_label_says_something(label):
    with pytest.raises(ValueError, match="label"):
        sign_bytes(PRIVATE, label, b"")

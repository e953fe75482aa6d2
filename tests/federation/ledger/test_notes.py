from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.keys import key_id, public_key_of
from federation.ledger import notes
from federation.ledger.notes import Checkpoint, NoteWrong, VerifierKey

PRIVATE, OTHER = b"\1" * 32, b"\2" * 32
ORIGIN = notes.origin_of("hub.example", "6a4e7ff4-32c9-4ea6-a1dd-6cf1b6a1b9d0")
KEY = VerifierKey(ORIGIN, public_key_of(PRIVATE))
CHECKPOINT = Checkpoint(ORIGIN, 7, b"\3" * 32)
NOTE = notes.sign_checkpoint(PRIVATE, CHECKPOINT)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WITNESS = notes.witness_name(ORIGIN, key_id(public_key_of(OTHER)))
LINE = notes.cosign(OTHER, CHECKPOINT, name=WITNESS, at=NOW)

# The example of golang.org/x/mod/sumdb/note.
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_published_note_is_read_and_its_signature_is_found_right():
    key = notes.parse_verifier_key(PUBLISHED_KEY)
    note = notes.parse_note(PUBLISHED_NOTE)
    (signature,) = note.signatures
    assert str(key) == PUBLISHED_KEY
    assert str(note) == PUBLISHED_NOTE
    assert (signature.name, signature.key_id) == (key.name, key.key_id)
    notes._verify(key.public, signature.value, note.text.encode())
    with pytest.raises(NoteWrong, match="checkpoint"):
        notes.verify_checkpoint(PUBLISHED_NOTE, key, origin="PeterNeumann")


def test_the_published_checkpoint_reads_as_it_was_written():
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    checkpoint = notes.parse_checkpoint(text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text == text


@given(size=st.integers(0, 2**53 - 1), root=st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_what_is_read(size, root):
    note = notes.sign_checkpoint(PRIVATE, Checkpoint(ORIGIN, size, root))
    assert notes.verify_checkpoint(note, KEY, origin=ORIGIN) == Checkpoint(ORIGIN, size, root)


@given(at=st.integers(0, len(NOTE.encode()) - 1), bit=st.integers(0, 7))
def test_no_bit_of_a_checkpoint_can_change(at, bit):
    raw = bytearray(NOTE.encode())
    raw[at] ^= 1 << bit
    with pytest.raises(NoteWrong):
        notes.verify_checkpoint(raw.decode(errors="replace"), KEY, origin=ORIGIN)


@given(at=st.integers(0, len(LINE.encode()) - 1), bit=st.integers(0, 7))
def test_no_bit_of_a_cosignature_can_change(at, bit):
    raw = bytearray(LINE.encode())
    raw[at] ^= 1 << bit
    with pytest.raises(NoteWrong):
        notes.verify_cosignature(
            raw.decode(errors="replace"), CHECKPOINT, name=WITNESS, public=public_key_of(OTHER)
        )


def test_a_cosignature_says_when_and_covers_one_checkpoint():
    public = public_key_of(OTHER)
    assert notes.verify_cosignature(LINE, CHECKPOINT, name=WITNESS, public=public) == NOW
    with pytest.raises(NoteWrong):
        notes.verify_cosignature(
            LINE, Checkpoint(ORIGIN, 8, CHECKPOINT.root), name=WITNESS, public=public
        )


def test_cosignatures_under_a_note_leave_it_valid():
    witnessed = f"{NOTE}{LINE}\n"
    assert notes.verify_checkpoint(witnessed, KEY, origin=ORIGIN) == CHECKPOINT
    assert str(notes.parse_note(witnessed)) == witnessed


def test_a_checkpoint_of_another_ledger_or_by_another_key_is_refused():
    with pytest.raises(NoteWrong, match="signatures by"):
        notes.verify_checkpoint(NOTE, VerifierKey(ORIGIN, public_key_of(OTHER)), origin=ORIGIN)
    with pytest.raises(NoteWrong, match="checkpoint of"):
        notes.verify_checkpoint(NOTE, KEY, origin="hub.example/federations/another")


def test_a_signature_twice_is_refused():
    with pytest.raises(NoteWrong):
        notes.verify_checkpoint(NOTE + NOTE.rpartition("\n\n")[2], KEY, origin=ORIGIN)


def test_a_verifier_key_reads_as_it_is_written():
    assert notes.parse_verifier_key(f"{KEY}\n") == KEY


@pytest.mark.parametrize(
    "line",
    [
        "",
        "name",
        "name+00000000",
        PUBLISHED_KEY.replace("c74f20a3", "c74f20a4"),
        PUBLISHED_KEY[:-4],
        PUBLISHED_KEY.replace("+ARpc", "+AhpC"),
        "a name+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ],
)
def test_what_is_no_verifier_key_is_refused(line):
    with pytest.raises(NoteWrong):
        notes.parse_verifier_key(line)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        f"\n1\n{'A' * 43}=\n",
        f"origin\n01\n{'A' * 43}=\n",
        f"origin\n-1\n{'A' * 43}=\n",
        f"origin\n9999999999999999\n{'A' * 43}=\n",
        f"origin\n1\n{'A' * 42}B=\n",
        f"origin\n1\n{'A' * 43}=\nmore\n",
        "origin\n1\nAAAA\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteWrong):
        notes.parse_checkpoint(text)


@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text):
    for read in (notes.parse_note, notes.parse_checkpoint, notes.parse_verifier_key):
        with pytest.raises(NoteWrong):
            read(text)

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.ledger import entries, merkle
from federation.ledger.entries import NO_ENTRY, Entry, EntryWrong

WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | WHOLE
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def entry(**more):
    said = {
        "index": 7,
        "ledger": UUID("6a4e7ff4-32c9-4ea6-a1dd-6cf1b6a1b9d0"),
        "type": "run.started",
        "key": "run:1",
        "payload": {"b": 1, "a": "é"},
        "prev": NO_ENTRY,
        "time": entries.time_of(datetime(2026, 11, 23, 5, tzinfo=UTC)),
    }
    return Entry(**said | more)


def test_an_entry_is_one_line_with_its_keys_in_order():
    assert entry().text == (
        '{"index":7,"key":"run:1","ledger":"6a4e7ff4-32c9-4ea6-a1dd-6cf1b6a1b9d0",'
        '"payload":{"a":"é","b":1},'
        '"prev":"0000000000000000000000000000000000000000000000000000000000000000",'
        '"time":"2026-11-23T05:00:00.000000Z","type":"run.started"}'
    )
    assert entry().leaf == merkle.leaf_hash(entry().text.encode())


@given(payload=st.dictionaries(st.text(), VALUES, max_size=4), index=st.integers(0, 2**53 - 1))
def test_an_entry_is_read_as_it_was_written(payload, index):
    written = entry(payload=payload, index=index).text
    assert entries.parse_entry(written).text == written


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + "\n",
        lambda text: text.replace('"index":7', '"index":7.0'),
        lambda text: text.replace('"index":7,', ""),
        lambda text: text.replace('"index":7,', '"index":7,"index":7,'),
        lambda text: text.replace('"key"', '"extra":1,"key"'),
        lambda text: text.replace('"a":"é"', '"a":"\\u00e9"'),
        lambda text: text.replace("6a4e7ff4", "6A4E7FF4"),
        lambda text: text.replace('"b":1', '"b":NaN'),
        lambda text: text[:-1],
        lambda text: f"[{text}]",
    ],
)
def test_an_entry_in_any_other_form_is_refused(spoil):
    with pytest.raises(EntryWrong):
        entries.parse_entry(spoil(entry().text))


@pytest.mark.parametrize("value", [float("nan"), 2**53, "\ud800"])
def test_what_has_no_canonical_form_is_no_entry(value):
    with pytest.raises(EntryWrong):
        _ = entry(payload={"a": value}).text


def test_times_are_in_utc_to_the_microsecond():
    at = datetime(2026, 11, 23, 6, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    assert entries.time_of(at) == "2026-11-23T05:00:00.000005Z"

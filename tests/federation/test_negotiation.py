from __future__ import annotations

import pytest

from federation import negotiation, protocol
from federation.negotiation import NotUnderstood, Version, understood
from federation.protocol import PROTOCOL_VERSION


@pytest.fixture(autouse=True)
def speaking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "PROTOCOL_VERSION", "3.4")


@pytest.mark.parametrize("theirs", ["3.3", "3.4", "3.5", None])
def test_one_minor_version_either_way_is_understood(theirs):
    assert understood(theirs).version == Version.of(theirs or "3.4")


@pytest.mark.parametrize(
    "theirs", ["3.2", "3.6", "2.4", "4.4", "34", "3.04", "", "3.4 ", "३.४", "v3.4"]
)
def test_any_other_is_told_which_are(theirs):
    with pytest.raises(NotUnderstood, match=r"3\.4 is spoken here, and 3\.3 to 3\.5"):
        understood(theirs)


def test_only_of_a_newer_side_more_is_heard_than_is_known():
    assert understood("3.5").extra == "ignore"
    assert understood("3.4").extra is understood("3.3").extra is None


def test_the_first_minor_version_has_none_before_it(monkeypatch):
    monkeypatch.setattr(negotiation, "PROTOCOL_VERSION", "1.0")
    with pytest.raises(NotUnderstood, match=r"1\.0 to 1\.1"):
        understood("1.2")


def test_every_later_field_is_one_that_may_be_left_out():
    kinds = [kind for kind in vars(protocol).values() if isinstance(kind, type)]
    messages = [kind for kind in kinds if issubclass(kind, protocol.Message) and kind.since]
    assert messages
    for kind in messages:
        assert not any(kind.model_fields[name].is_required() for name in kind.since)


def test_ours_is_a_version():
    assert str(Version.of(PROTOCOL_VERSION)) == PROTOCOL_VERSION

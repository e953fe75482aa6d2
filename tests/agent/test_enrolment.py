from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from agent.enrolment import enrol
from agent.errors import AgentFault, NotEnrolled, Refused
from agent.home import Home, Identity
from federation.signatures import key_id, public_key_of
from tests.agent.fake_hub import FakeHub


def enrolled(hub: FakeHub, folder: Path, code: str) -> Identity:
    return asyncio.run(enrol(Home.found(folder), url=f"{hub.url}/", code=code, name="blaise-1"))


def test_a_code_makes_an_agent_and_pins_the_hubs_key(quiet_hub: FakeHub, tmp_path: Path) -> None:
    identity = enrolled(quiet_hub, tmp_path, quiet_hub.code())
    home = Home.found(tmp_path)
    assert home.identity() == identity
    assert identity.hub == quiet_hub.url
    assert identity.hub_key_id == key_id(public_key_of(quiet_hub.key))
    assert identity.key_id == key_id(public_key_of(home.private_key()))


def test_nobody_else_can_read_the_key(home: Home) -> None:
    key = home.folder / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o640)
    with pytest.raises(AgentFault, match="chmod 600"):
        home.private_key()


@pytest.mark.parametrize(("state", "status"), [("spent", 410), ("expired", 410), ("unknown", 404)])
def test_a_code_that_is_no_good_leaves_no_agent(
    quiet_hub: FakeHub, tmp_path: Path, state: str, status: int
) -> None:
    with pytest.raises(Refused) as refusal:
        enrolled(quiet_hub, tmp_path, quiet_hub.code(state))
    assert (refusal.value.status, refusal.value.code) == (status, f"code_{state}")
    with pytest.raises(NotEnrolled):
        Home.found(tmp_path).identity()


def test_an_answer_that_was_lost_is_asked_for_again(quiet_hub: FakeHub, tmp_path: Path) -> None:
    quiet_hub.fail_next("POST .*/enrolments", is_lost=True)
    identity = enrolled(quiet_hub, tmp_path, quiet_hub.code())
    assert identity.key_id in quiet_hub.keys
    first, second = quiet_hub.requests("POST .*/enrolments")
    assert first.body == second.body


def test_enrolling_again_after_a_crash_gets_the_same_agent(
    quiet_hub: FakeHub, tmp_path: Path
) -> None:
    code = quiet_hub.code()
    first = enrolled(quiet_hub, tmp_path, code)
    (tmp_path / "agent.json").unlink()
    assert enrolled(quiet_hub, tmp_path, code) == first


def test_a_new_code_for_a_key_that_the_hub_knows_makes_a_new_key(
    quiet_hub: FakeHub, tmp_path: Path
) -> None:
    first = enrolled(quiet_hub, tmp_path, quiet_hub.code())
    (tmp_path / "agent.json").unlink()
    again = enrolled(quiet_hub, tmp_path, quiet_hub.code())
    assert again.key_id != first.key_id
    assert key_id(public_key_of(Home.found(tmp_path).private_key())) == again.key_id


def test_an_enrolled_agent_is_not_enrolled_again(quiet_hub: FakeHub, home: Home) -> None:
    with pytest.raises(AgentFault, match="already"):
        enrolled(quiet_hub, home.folder, quiet_hub.code())


@pytest.mark.parametrize("url", ["hub.example.org", "ftp://hub", "https://", "http://h?x=1"])
def test_what_is_no_address_is_refused_before_a_key_is_made(tmp_path: Path, url: str) -> None:
    with pytest.raises(AgentFault, match="https://"):
        asyncio.run(enrol(Home.found(tmp_path), url=url, code="x" * 20, name="blaise-1"))
    assert not list(tmp_path.iterdir())

"""Each check says how it is, what that means and what to do; none stops the others."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from agent import cli
from agent.checks import Finding, Site, State, checks, machine, work
from agent.checks.hub import proxy_for
from agent.commands.shared import Exit
from agent.doctor import Line, examine
from agent.home import Home
from federation.protocol import BaseModelRef
from tests.agent import tiny
from tests.agent.fake_hub import FakeHub

LIGHT = [name for name in checks if name != "devices"]  # which imports torch
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def straight(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def found(home: Home, name: str) -> list[Finding]:
    return list(checks[name](Site(home)))


def worst(home: Home, name: str) -> tuple[State, str, str]:
    """The gravest line of a check; the states are listed from good to bad."""
    order = list(State)
    line = max(lines_of(home, name), key=lambda line: order.index(line.state))
    return line.state, line.says, line.do


def lines_of(home: Home, name: str) -> list[Line]:
    return list(examine_only(home, name))


def examine_only(home: Home, *names: str) -> Iterator[Line]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "_known", {name: checks[name] for name in names})
        yield from examine(home)


def place(hub: FakeHub, slug: str = "coast", **facts: object) -> None:
    base = {"repo": tiny.BASE_REPO, "revision": tiny.REVISION}
    plan = tiny.plan().model_dump(mode="json")
    said = {"federation": slug, "federation_name": slug, "base": base, "base_bytes": 4096}
    hub.places.append({**said, "plan": plan, **facts})


def mapped(home: Home, folder: Path, slug: str = "coast") -> Path:
    data = tiny.make_data(folder / "data", rows=9)
    done = CliRunner().invoke(cli.app, ["data", "add", slug, str(data), "--home", str(home.folder)])
    assert done.exit_code == 0, done.output
    return data


def test_a_healthy_site_has_no_problem(quiet_hub: FakeHub, home: Home, tmp_path: Path) -> None:
    place(quiet_hub)
    mapped(home, tmp_path)
    lines = list(examine_only(home, *LIGHT))
    assert {line.check for line in lines} == set(LIGHT) - {"worker"}  # nothing runs
    assert not [line for line in lines if line.state == State.PROBLEM], lines
    assert all(line.do for line in lines if line.state != State.OK)


def test_a_folder_without_an_agent_is_told_to_enrol(tmp_path: Path) -> None:
    lines = list(examine_only(Home.found(tmp_path), *LIGHT))
    assert {"identity", "hub", "clock"} <= {one.check for one in lines if one.state == "problem"}
    assert "foedus-agent enrol" in next(line.says for line in lines if line.check == "identity")


@pytest.mark.parametrize(
    ("ahead", "state"), [(0, "ok"), (60, "warning"), (-60, "warning"), (130, "problem")]
)
def test_the_clock_is_compared_with_the_hubs(
    quiet_hub: FakeHub, home: Home, ahead: int, state: str
) -> None:
    date = formatdate(time.time() - ahead, usegmt=True)
    quiet_hub.fail_next("GET /livez", answer={}, headers={"Date": date})
    assert worst(home, "clock")[0] == state


def test_a_refused_signature_says_why(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("GET .*/standing", status=401, code="revoked_key")
    assert worst(home, "signature") == (
        State.PROBLEM,
        "The hub refused: revoked_key",
        "Enrol again with a new code.",
    )
    quiet_hub.fail_next("GET .*/standing", status=426, code="protocol_version")
    assert "Upgrade the agent" in worst(home, "signature")[2]
    quiet_hub.fail_next("GET .*/standing", answer={"agent": "?"})
    assert "Upgrade the agent" in worst(home, "signature")[2]
    quiet_hub.fail_next("GET .*/standing", status=401, code="clock_skew")
    assert "clock" in worst(home, "signature")[1]


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port at which something else than a hub answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as line:
                line.settimeout(5)
                answer(line)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


def moved_to(home: Home, url: str) -> Home:
    home.keep_identity(home.identity().model_copy(update={"hub": url}))
    return home


def say(text: bytes) -> Callable[[socket.socket], None]:
    def answer(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(text)

    return answer


def test_a_hub_that_is_not_there_is_told_from_one_that_answers_oddly(home: Home) -> None:
    assert "No connection" in worst(moved_to(home, "http://127.0.0.1:9"), "hub")[1]
    moved = b"HTTP/1.1 302 Found\r\nLocation: https://new.example\r\nContent-Length: 0\r\n\r\n"
    with listening(say(moved)) as port:
        assert "https://new.example" in worst(moved_to(home, f"http://127.0.0.1:{port}"), "hub")[1]
    blocked = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with listening(say(blocked)) as port:
        assert "403" in worst(moved_to(home, f"http://127.0.0.1:{port}"), "hub")[1]


def test_a_certificate_that_nobody_vouches_for_is_named(home: Home, tmp_path: Path) -> None:
    context = self_signed(tmp_path)

    def shake(line: socket.socket) -> None:
        with suppress(OSError):  # it hangs up as soon as it has seen the certificate
            context.wrap_socket(line, server_side=True)

    with listening(shake) as port:
        state, says, do = worst(moved_to(home, f"https://127.0.0.1:{port}"), "hub")
    assert (state, "certificate" in says, "SSL_CERT_FILE" in do) == (State.PROBLEM, True, True)


def self_signed(folder: Path):
    import ssl
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "both.pem").write_bytes(
        key.private_bytes(pem, *plain) + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_the_proxy_of_the_environment_is_the_way(
    quiet_hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://someone:secret@127.0.0.1:9")
    state, says, _ = worst(home, "way to the hub")
    assert (state, "the proxy 127.0.0.1" in says, "secret" in says) == (State.OK, True, False)
    assert worst(home, "hub")[0] == State.PROBLEM  # nobody is at that port
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert proxy_for(quiet_hub.url) is None
    assert worst(home, "hub")[0] == State.OK


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "gopher://127.0.0.1"])
def test_a_proxy_that_cannot_be_used_is_said_to_be_so(
    home: Home, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    state, _, do = worst(home, "hub")
    assert (state, "PROXY" in do) == (State.PROBLEM, True)


def test_a_name_without_an_address(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    state, says, do = worst(moved_to(home, "https://hub.invalid"), "way to the hub")
    assert (state, "hub.invalid" in says, "DNS" in do) == (State.PROBLEM, True, True)


def test_what_others_can_read_is_a_problem(home: Home) -> None:
    home.folder.chmod(0o755)
    assert worst(home, "key file")[2].startswith("chmod 700")
    home.folder.chmod(0o700)
    home.key_file.chmod(0o644)
    assert worst(home, "key file")[2].startswith("chmod 600")
    assert worst(home, "identity")[0] == State.PROBLEM


def test_a_key_wants_to_be_renewed(home: Home) -> None:
    old = time.time() - 100 * 86_400
    os.utime(home.key_file, (old, old))
    assert "100 days" in worst(home, "key file")[1]
    home.next_key()
    assert any("rotate-key" in line.do for line in lines_of(home, "key file"))


class Usage:
    free = 5000


def test_disk_and_memory_are_held_against_the_base_model(
    quiet_hub: FakeHub, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(quiet_hub, base_bytes=2**52)
    mapped(home, tmp_path)
    assert worst(home, "disk")[0] == State.PROBLEM
    assert worst(home, "memory")[0] == State.PROBLEM
    quiet_hub.places.clear()
    assert worst(home, "disk")[0] == State.OK
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage)
    assert worst(home, "disk")[0] == State.PROBLEM


def test_a_base_model_is_here_or_can_be_fetched(
    quiet_hub: FakeHub, home: Home, tmp_path: Path
) -> None:
    place(quiet_hub)
    mapped(home, tmp_path)
    assert "will be fetched" in worst(home, "base models")[1]
    quiet_hub.fail_next("POST .*/download-tokens", status=404, code="not_found")
    assert worst(home, "base models")[0] == State.PROBLEM
    base = BaseModelRef(repo=tiny.BASE_REPO, revision=tiny.REVISION)
    fetcher = machine.Fetcher(home, lambda: None)
    (home.cache / "hub").mkdir()
    fetcher._note(base).write_text("hub")
    assert "is here" in worst(home, "base models")[1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["text,label", "wave,sea"], ("ok", "1 examples, 1 labels")),
        (["text,label", "wave,sea", " ,sea"], ("warning", "1 of 2 rows have no text")),
        (["text,label", "wave,river", "salt,sea"], ("problem", "1 of 2 examples have a label")),
        (["text,other", "wave,sea"], ("problem", "no column 'label'")),
        (["other,label", "wave,sea"], ("problem", "no column 'text'")),
        (["text,label", " ,sea"], ("problem", "not one text")),
        (["text,label", '"wave'], ("problem", "malformed")),
    ],
)
def test_data_are_read_with_the_eyes_of_the_plan(
    quiet_hub: FakeHub, home: Home, tmp_path: Path, rows: Sequence[str], expected: tuple[str, str]
) -> None:
    place(quiet_hub)
    data = mapped(home, tmp_path)
    (data / "train.csv").write_text("\n".join(rows))
    train = [line for line in lines_of(home, "data") if line.says.startswith("coast, train")]
    (line,) = train
    assert (line.state, expected[1] in line.says) == (expected[0], True)


def test_data_that_nobody_asks_for_or_that_are_missing(
    quiet_hub: FakeHub, home: Home, tmp_path: Path
) -> None:
    assert "No federation" in worst(home, "data")[1]
    data = mapped(home, tmp_path)
    assert "no such federation" in worst(home, "data")[1]
    place(quiet_hub)
    (data / "test.csv").unlink()
    assert "evaluations fail" in worst(home, "data")[1]
    (data / "train.csv").unlink()
    assert worst(home, "data")[0] == State.PROBLEM


def test_without_the_hub_the_data_are_read_all_the_same(home: Home, tmp_path: Path) -> None:
    mapped(home, tmp_path)
    moved_to(home, "http://127.0.0.1:9")
    assert worst(home, "data")[0] == State.OK


def test_what_runs_is_looked_at(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    assert worst(home, "agent")[0] == State.WARNING
    assert worst(home, "broker")[0] == State.OK
    with home.locked():
        assert worst(home, "agent")[0] == State.OK
        assert worst(home, "worker")[0] == State.PROBLEM
        home.pause_file.touch()
        assert "resume" in worst(home, "agent")[2]
        monkeypatch.setattr(work, "works_for", lambda process, _: process.pid == os.getpid())
        assert worst(home, "worker")[0] == State.WARNING
        home.device_file.write_text("{}")
        assert worst(home, "worker")[0] == State.OK
    monkeypatch.setenv("AGENT_BROKER_URL", "redis+socket:///nowhere/r.sock")
    assert worst(home, "broker")[0] == State.PROBLEM


def test_other_peoples_processes_are_no_workers(home: Home) -> None:
    assert not work.works_for(psutil.Process(1), home)


def test_a_check_that_fails_stops_no_other(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_site: Site) -> Iterator[Finding]:
        raise ZeroDivisionError("SECRET")
        yield

    known = {"broken": broken, "identity": checks["identity"]}
    monkeypatch.setattr(checks, "_known", known)
    lines = list(examine(home))
    assert [line.check for line in lines] == ["broken", "identity"]
    assert "SECRET" not in lines[0].says


def test_devices_are_those_of_torch(home: Home) -> None:
    lines = lines_of(home, "devices")
    assert lines
    assert all(line.state != State.PROBLEM for line in lines), lines
    assert machine.probed(Site(home))["missing"] == []


@pytest.mark.parametrize(
    ("facts", "state", "says"),
    [
        ({}, "ok", "cuda:0: NVIDIA L4, 22.0 GiB of 24.0 GiB free, bf16."),
        ({"works": False}, "problem", "cannot compute"),
        ({"4-bit": True, "bf16": False}, "ok", "free, 4-bit."),
    ],
)
def test_a_device_is_told_with_what_it_can(
    home: Home, monkeypatch: pytest.MonkeyPatch, facts: dict[str, object], state: str, says: str
) -> None:
    gpu = {"device": "cuda:0", "name": "NVIDIA L4", "memory": 24 << 30, "free": 22 << 30}
    device = {**gpu, "bf16": True, "4-bit": False, "works": True, **facts}
    known = {"missing": [], "torch": "2.13.0", "cuda": "13.0", "devices": [device]}
    monkeypatch.setattr(machine, "probed", lambda _: known)
    assert worst(home, "devices")[0] == state
    assert says in worst(home, "devices")[1]


def test_an_idle_driver_and_a_missing_library_are_told(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"missing": [], "torch": "2.13.0+cpu", "cuda": None, "devices": []}
    monkeypatch.setattr(machine, "probed", lambda _: known)
    monkeypatch.setattr(machine, "NVIDIA", tmp_path)
    assert "without CUDA" in worst(home, "devices")[1]
    known["missing"] = ["torch"]
    assert worst(home, "devices")[0] == State.PROBLEM


def test_nothing_of_the_site_goes_out(quiet_hub: FakeHub, home: Home, tmp_path: Path) -> None:
    place(quiet_hub)
    folder = tmp_path / "PLANTED-PATH"
    data = mapped(home, folder)
    (data / "train.csv").write_text("text,label\nPLANTED-ROW,PLANTED-LABEL\n")
    begun = len(quiet_hub.seen)
    list(examine_only(home, *LIGHT))
    sent = quiet_hub.seen[begun:]
    assert {seen.line for seen in sent} == {
        "GET /livez",
        "GET /api/v1/agent/standing",
        "POST /api/v1/agent/download-tokens",
    }
    everything = json.dumps([[seen.line, seen.headers, seen.body.decode()] for seen in sent])
    assert "PLANTED" not in everything


def test_the_exit_code_says_whether_something_must_be_done(
    quiet_hub: FakeHub, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_known", {"key file": checks["key file"]})
    words = ["doctor", "--home", str(home.folder)]
    assert CliRunner().invoke(cli.app, words).exit_code == Exit.DONE
    home.key_file.chmod(0o644)
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == Exit.UNWELL
    assert "→ chmod 600" in done.stdout
    said = json.loads(CliRunner().invoke(cli.app, [*words, "--json"]).stdout)
    assert (said["healthy"], said["lines"][0]["state"]) == (False, "problem")

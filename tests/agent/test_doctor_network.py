"""What `doctor` says of everything between a site and its hub."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

import pytest

from agent.checks import State
from agent.checks.hub import proxy_for
from agent.home import Home
from tests.agent.checkup import moved_to, worst
from tests.agent.fake_hub import FakeHub


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

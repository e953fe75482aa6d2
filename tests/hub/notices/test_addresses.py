"""Where a webhook may lead: the public internet by https, and no way around it (T22)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from hub.notices.errors import AddressRefused
from hub.notices.hooks import sending
from hub.notices.hooks.addresses import target_of
from hub.notices.hooks.sending import MOST_ANSWER_BYTES, post
from tests.hub.notices.hooking import certified, leads_to, receiving

PUBLIC = "93.184.215.14"

NOT_PUBLIC = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_refused(address: str):
    with pytest.raises(AddressRefused):
        target_of("https://hooks.example.org/x", resolve=leads_to(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_one_such_address_among_public_ones_is_enough(address: str):
    with pytest.raises(AddressRefused):
        target_of("https://hooks.example.org/x", resolve=leads_to(PUBLIC, address))


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (PUBLIC, PUBLIC),
        (f"::ffff:{PUBLIC}", PUBLIC),
        ("2606:4700:4700::1111", "[2606:4700:4700::1111]"),
    ],
)
def test_what_is_public_is_taken(address: str, asked: str):
    target = target_of("https://hooks.example.org/x?y=1", resolve=leads_to(address))
    assert target.url == f"https://{asked}:443/x?y=1"
    assert (target.host, target.port, target.path) == ("hooks.example.org", 443, "/x?y=1")


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "ftp://hooks.example.org/",
        "file:///etc/passwd",
        "gopher://hooks.example.org/",
        "//hooks.example.org/",
        "hooks.example.org",
        "",
        "https://",
        "https:///path",
        "https://user@hooks.example.org/",
        "https://user:secret@hooks.example.org/",
        "https://hooks.example.org/#part",
        "https://hooks.example.org:22/",
        "https://hooks.example.org:0/",
        "https://hooks.example.org:99999/",
        "https://hooks.example.org:x/",
        "https://[::1/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\r\nX-Evil: 1",
        "https://hööks.example.org/",
        "https://hooks.example.org/" + "x" * 500,
    ],
)
def test_an_address_has_one_form(url: str):
    with pytest.raises(AddressRefused):
        target_of(url, resolve=leads_to(PUBLIC))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "localhost", "[::1]"])
def test_other_ways_to_write_this_machine_lead_nowhere(host: str):
    """With the machine's own resolver."""
    with pytest.raises(AddressRefused):
        target_of(f"https://{host}/")


def test_an_unknown_name_is_refused():
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(AddressRefused):
        target_of("https://hooks.example.org/", resolve=unknown)


def test_the_operator_may_name_networks(settings: Any):
    settings.WEBHOOK_NETWORKS = ["10.20.0.0/16"]
    assert target_of("https://hooks.internal/", resolve=leads_to("10.20.3.4")).port == 443
    for address in ("10.21.0.1", "127.0.0.1"):
        with pytest.raises(AddressRefused):
            target_of("https://hooks.internal/", resolve=leads_to(address))
    with pytest.raises(AddressRefused):  # without TLS only to this machine, if at all
        target_of("http://hooks.internal/", resolve=leads_to("10.20.3.4"))


def test_the_name_is_looked_up_once_and_the_address_that_was_seen_is_asked(
    settings: Any, tmp_path: Path
):
    """A name that points elsewhere a moment later changes nothing; certificate and Host are its."""
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    server, client = certified(tmp_path, "hooks.example.org")
    names = leads_to("127.0.0.1")
    with receiving(tls=server) as receiver:
        url = f"https://hooks.example.org:{receiver.port}/x?y=1"
        target = target_of(url, resolve=names)
        answer = post(target, body=b"{}", headers={}, trust=client)
    assert (answer.status, answer.failure) == (204, "")
    ((path, headers, body),) = receiver.requests
    assert (path, body) == ("/x?y=1", b"{}")
    assert headers["Host"] == f"hooks.example.org:{receiver.port}"
    assert names.asked == 1


def test_a_certificate_of_another_name_is_refused(settings: Any, tmp_path: Path):
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    server, client = certified(tmp_path, "other.example.org")
    with receiving(tls=server) as receiver:
        url = f"https://hooks.example.org:{receiver.port}/"
        target = target_of(url, resolve=leads_to("127.0.0.1"))
        answer = post(target, body=b"{}", headers={}, trust=client)
    assert (answer.status, answer.failure) == (None, "certificate")
    assert receiver.requests == []


def test_a_certificate_of_nobody_we_know_is_refused(settings: Any, tmp_path: Path):
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    server, _ = certified(tmp_path, "hooks.example.org")
    with receiving(tls=server) as receiver:
        url = f"https://hooks.example.org:{receiver.port}/"
        target = target_of(url, resolve=leads_to("127.0.0.1"))
        answer = post(target, body=b"{}", headers={}, trust=ssl.create_default_context())
    assert answer.failure == "certificate"


def told(port: int, settings: Any) -> sending.Answer:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    target = target_of(f"http://hooks.example.org:{port}/", resolve=leads_to("127.0.0.1"))
    return post(target, body=b"{}", headers={})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(settings: Any, status: int):
    with receiving() as elsewhere, receiving() as receiver:
        receiver.statuses = [status]
        receiver.headers = {"Location": f"http://127.0.0.1:{elsewhere.port}/"}
        answer = told(receiver.port, settings)
    assert answer.status == status
    assert not answer.is_taken
    assert elsewhere.requests == []


def test_a_proxy_of_the_environment_is_not_asked(settings: Any, monkeypatch: Any):
    with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert told(receiver.port, settings).is_taken
    assert proxy.requests == []


def test_of_a_long_answer_only_the_beginning_is_read(settings: Any):
    with receiving() as receiver:
        receiver.statuses, receiver.answer = [200], b"x" * (MOST_ANSWER_BYTES * 20)
        answer = told(receiver.port, settings)
    assert (answer.status, answer.length) == (200, MOST_ANSWER_BYTES)


def test_a_slow_answer_ends(settings: Any, monkeypatch: Any):
    monkeypatch.setattr(sending, "WHOLE_SECONDS", 0.3)
    with receiving() as receiver:
        receiver.seconds = 5
        answer = told(receiver.port, settings)
    assert answer.failure == "timeout"
    assert answer.took_ms < 3000


def test_nobody_there_is_a_failure_like_others(settings: Any):
    with receiving() as receiver:
        port = receiver.port
    assert told(port, settings).failure == "no_connection"

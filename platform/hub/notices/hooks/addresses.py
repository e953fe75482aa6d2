"""Which addresses a webhook may have: of the public internet, by https, and no way around it.

A name is resolved once, every address it has is looked at, and the request goes to the address
that was looked at: a name that points elsewhere a moment later changes nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from hub.notices.errors import AddressRefused

Address: TypeAlias = IPv4Address | IPv6Address
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]

PORTS = {"https": 443, "http": 80}
LEAST_PORT = 1024  # besides the usual one: below it live other services
LONGEST = 500
# Of special purpose in IANA's registries, whatever the Python that asks thinks of them.
SPECIAL = [
    ip_network(one)
    for one in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "3fff::/20",
        "5f00::/16",
    )
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the address that was looked at, and the name it was looked up by."""

    scheme: str
    host: str  # as the certificate and the server know it
    address: str
    port: int
    path: str  # with the query

    @property
    def url(self) -> str:
        literal = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.scheme}://{literal}:{self.port}{self.path}"

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == PORTS[self.scheme] else f"{name}:{self.port}"


def resolved(host: str, port: int) -> Sequence[str]:
    """All addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(one[4][0]) for one in found]


def target_of(url: str, *, resolve: Resolver = resolved) -> Target:
    """Look an address up and see that it is one of the public internet.

    Raises:
        AddressRefused: it is not, or nobody knows it.
    """
    parts, port = _parts(url)
    host = parts.hostname or ""
    try:
        found = [_address(one) for one in resolve(host, port)]
    except (OSError, UnicodeError, ValueError) as unknown:
        raise AddressRefused(_("Its name is not known.")) from unknown
    if not found or not all(map(may_be_told, found)):
        raise AddressRefused(_("It is not on the public internet."))
    if parts.scheme != "https" and not all(one.is_loopback for one in found):
        raise AddressRefused(_("It has to start with https."))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, str(found[0]), port, path)


def _parts(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as malformed:
        raise AddressRefused(_("It cannot be read.")) from malformed
    if len(url) > LONGEST or not (url.isascii() and url.isprintable()) or " " in url:
        raise AddressRefused(_("Write it in at most 500 visible ASCII characters."))
    if parts.scheme not in _schemes() or not parts.hostname:
        raise AddressRefused(_("It has to start with https and name a server."))
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused(_("No user, password or fragment may be in it."))
    usual = PORTS[parts.scheme]
    if port is not None and port != usual and port < LEAST_PORT:
        raise AddressRefused(
            _("Its port is %(usual)s, or %(LEAST_PORT)s and above.")
            % {"usual": usual, "LEAST_PORT": LEAST_PORT}
        )
    return parts, usual if port is None else port


def _schemes() -> set[str]:
    return {"https", "http"} if settings.WEBHOOK_NETWORKS else {"https"}


def _address(text: str) -> Address:
    """An IPv4 address written as IPv6 is the IPv4 address."""
    found = ip_address(text.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return mapped or found


def may_be_told(address: Address) -> bool:
    """Whether it is public, or in a network that the settings name.

    Tunnels and translations, which carry an IPv4 address inside, are refused whole.
    """
    networks = [ip_network(one) for one in settings.WEBHOOK_NETWORKS]
    return any(address in one for one in networks) or _is_public(address)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (
        address.sixtofour or address.teredo or address.is_site_local
    ):
        return False
    if any(address in one for one in SPECIAL):
        return False
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special and not address.is_link_local

"""The way to the hub: name, proxy, TLS, clock, signature, protocol."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from pydantic import ValidationError

from agent.checks.base import Finding, Site, checks, ok, problem, warning
from agent.errors import Away, ClockDiffers, Refused
from federation.protocol import PROTOCOL_VERSION
from federation.signatures import WINDOW

NOTICED_SECONDS = 30
UPGRADE = "Upgrade the agent: docs/agent.md, «Upgrade»."


@checks.register("way to the hub")
def way(site: Site) -> Iterator[Finding]:
    """The name resolves, that of the proxy where there is one."""
    hub = urlsplit(site.identity.hub)
    proxy = proxy_for(site.identity.hub)
    host = (proxy.hostname if proxy else hub.hostname) or ""
    who = f"the proxy {host}" if proxy else host
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError as error:
        yield problem(
            f"{who} has no address here ({error.strerror or error}).",
            "Correct HTTPS_PROXY, or NO_PROXY." if proxy else "Ask for DNS, or set HTTPS_PROXY.",
        )
        return
    if hub.scheme == "http" and not _is_here(hub.hostname or ""):
        yield warning("The hub's address is not encrypted.", "Use https:// (run --url).")
    through = f" through {who}" if proxy else ""
    yield ok(f"{hub.hostname}{through}: {', '.join(sorted(found)[:3])}")


def proxy_for(url: str) -> SplitResult | None:
    """The proxy that the environment asks for."""
    parts, proxies = urlsplit(url), getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or proxy_bypass(parts.hostname or ""):
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


@checks.register("hub")
def hub(site: Site) -> Iterator[Finding]:
    """It answers, and its certificate is one that we trust."""
    try:
        response, _ = site.answer
    except (ImportError, ValueError, httpx.InvalidURL) as error:  # of httpx, reading its address
        yield problem(f"The proxy cannot be used: {error}", "Correct HTTPS_PROXY or ALL_PROXY.")
    except httpx.ProxyError as error:
        yield problem(f"The proxy refuses: {error}", "Ask for the way to the hub, port 443.")
    except httpx.TransportError as error:
        yield _unreached(error)
    else:
        yield _reached(response)


def _unreached(error: httpx.TransportError) -> Finding:
    if certificate := _certificate_error(error):
        return problem(
            f"The certificate is not trusted: {certificate.verify_message}.",
            "If your proxy opens TLS, set SSL_CERT_FILE to a file with its authority.",
        )
    if isinstance(error, httpx.TimeoutException):
        return problem("No answer came.", "Let the firewall pass outbound TCP to the hub.")
    return problem(f"No connection: {error}", "Let the firewall pass outbound TCP to the hub.")


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _reached(response: httpx.Response) -> Finding:
    if response.is_redirect:
        where = response.headers.get("Location", "")
        return problem(f"It redirects to {where}.", "Run the agent with --url and that address.")
    if response.is_error:
        return problem(
            f"It answers {response.status_code}.",
            "Is this the hub's address, or a page of your proxy? Else try again later.",
        )
    return ok(f"It answers in {response.elapsed.total_seconds() * 1000:.0f} ms.")


@checks.register("clock")
def clock(site: Site) -> Iterator[Finding]:
    """Signatures live for two minutes, by the hub's clock."""
    response, ours = site.answer
    ahead = ours - parsedate_to_datetime(response.headers["Date"]).timestamp()
    told = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the hub's"
    do = "Set the clock, best by NTP: timedatectl set-ntp true"
    if abs(ahead) > WINDOW.total_seconds():
        yield problem(f"The clock is {told}: no signature is accepted.", do)
    elif abs(ahead) > NOTICED_SECONDS:
        yield warning(f"The clock is {told}; from {WINDOW.seconds} s on, nothing works.", do)
    else:
        yield ok(f"The clock is within {NOTICED_SECONDS} s of the hub's.")


@checks.register("signature")
def signature(site: Site) -> Iterator[Finding]:
    """The hub knows our key, and speaks a protocol that we understand."""
    try:
        standing = site.standing
    except ValidationError:
        yield problem("The hub's answer is not understood.", UPGRADE)
    except ClockDiffers as clock:
        yield problem(str(clock).capitalize() + ".", "Set the clock first.")
    except Away as away:
        yield problem(f"It gives no answer: {away.cause}.", "Try again later.")
    except Refused as refusal:
        yield _refused(refusal)
    else:
        if standing.protocol != PROTOCOL_VERSION:
            said = f"The hub speaks protocol {standing.protocol}, we {PROTOCOL_VERSION}"
            yield warning(f"{said}: it works, for now.", UPGRADE)
        yield ok(f"The hub knows us as {standing.name} of {standing.organisation_name}.")


def _refused(refusal: Refused) -> Finding:
    if refusal.status == HTTPStatus.UPGRADE_REQUIRED:
        return problem(f"The versions do not fit: {refusal.detail}", UPGRADE)
    if refusal.status == HTTPStatus.NOT_FOUND:
        return warning("The hub is older than this agent; it cannot be asked.", "Nothing.")
    do = "Enrol again with a new code." if refusal.is_final else "Ask the hub's operator."
    return problem(f"The hub refused: {refusal.detail or refusal.code}", do)


def _is_here(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"

"""Which hosts are this machine. Read by the settings, so nothing of ours is imported here."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str | None) -> bool:
    """Whether nobody outside this machine can reach the host."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False

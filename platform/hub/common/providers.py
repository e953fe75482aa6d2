"""Identity providers of organisations, as the settings name them.

Read by the settings, so nothing of ours is imported that needs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from hub.common.hosts import is_loopback


class Provider(BaseModel):
    """One identity provider that speaks OpenID Connect."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")  # in addresses, for ever
    name: str = Field(min_length=1, max_length=40)  # on the button
    server_url: str  # its issuer; /.well-known/openid-configuration is found below it
    client_id: str = Field(min_length=1)
    client_secret: str = ""
    client_secret_file: str = ""
    domains: tuple[str, ...] = ()  # of addresses that it may make accounts for; empty: all

    @model_validator(mode="after")
    def can_be(self) -> Provider:
        server = urlsplit(self.server_url)
        if server.scheme != "https" and not is_loopback(server.hostname):
            raise ValueError("server_url must be https: who signs in is read from there")
        if bool(self.client_secret) == bool(self.client_secret_file):
            raise ValueError("give client_secret_file, or client_secret")
        return self

    def as_app(self) -> dict[str, Any]:
        """What allauth wants to know of it."""
        secret = self.client_secret or Path(self.client_secret_file).read_text().strip()
        domains = [domain.lower() for domain in self.domains]
        return {
            "provider_id": self.id,
            "name": self.name,
            "client_id": self.client_id,
            "secret": secret,
            "settings": {"server_url": self.server_url.rstrip("/"), "domains": domains},
        }


def providers_in(text: str) -> list[dict[str, Any]]:
    """The providers that a JSON list describes.

    Raises:
        ValueError: what is wrong, and where; two of one id, too.
        OSError: a secret's file cannot be read.
    """
    found = TypeAdapter(list[Provider]).validate_json(text)
    if len({provider.id for provider in found}) < len(found):
        raise ValueError("two providers have one id")
    return [provider.as_app() for provider in found]

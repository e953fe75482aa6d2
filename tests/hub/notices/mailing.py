"""An SMTP server on this machine that keeps what it is sent, and refuses what it is told to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller


class Postbox:
    """`answers` are given one after the other, to RCPT or to DATA, before anything is taken."""

    def __init__(self) -> None:
        self.letters: list[Message] = []
        self.recipients: list[list[str]] = []
        self.to_rcpt: list[str] = []
        self.to_data: list[str] = []
        self.on_taken: Any = None  # called when a letter has been taken, before the answer

    async def handle_RCPT(  # noqa: N802 (the library calls it so)
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if self.to_rcpt:
            return self.to_rcpt.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.to_data:
            return self.to_data.pop(0)
        self.letters.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.append(envelope.rcpt_tos)
        if self.on_taken is not None:
            self.on_taken()
        return "250 taken"


@contextmanager
def serving(settings: Any) -> Iterator[Postbox]:
    """The server, and settings that lead there."""
    box = Postbox()
    with socket.create_server(("127.0.0.1", 0)) as free:  # the controller asks for a number
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    lead_to(settings, port)
    try:
        yield box
    finally:
        controller.stop()


def lead_to(settings: Any, port: int) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_TIMEOUT = 5


def parts(letter: Message) -> dict[str, str]:
    """Its text by content type."""
    return {
        part.get_content_type(): part.get_content()  # type: ignore[attr-defined]
        for part in letter.walk()
        if not part.is_multipart()
    }

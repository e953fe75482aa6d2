"""People of the stories: each with a browser, a mailbox and an authenticator app of their own."""

from __future__ import annotations

import base64
import email
import email.policy
import hmac
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.e2e.looks import DESKTOP, looked_at
from tests.e2e.stack import Stack

PASSWORD = "correct-horse-battery-7"
PERIOD = 30  # seconds for which an authenticator app shows a code


@dataclass
class Person:
    name: str
    email: str
    page: Page
    mailbox: Path
    organisation: str = ""
    password: str = PASSWORD
    secret: str = ""  # of the authenticator app
    spent: int = 0  # the period of the last code
    complaints: list[str] = field(default_factory=list)  # of the browser about our pages

    def look(self, name: str, path: str = "") -> None:
        """Check the page that is open, or the one at the path."""
        if path:
            answer = self.page.goto(path)
            assert answer
            assert answer.ok, path
        looked_at(self.page, name)
        assert not self.complaints, self.complaints

    def sees(self, words: str | re.Pattern[str], *, within: float = 30) -> None:
        expect(self.page.locator("body")).to_contain_text(words, timeout=within * 1000)

    def press(self, words: str) -> None:
        """Press the button of the page that is called so, and prove who one is if asked."""
        self.send(self.page.locator("main").get_by_role("button", name=words, exact=True))

    def send(self, button: Locator) -> None:
        before = self.page.url
        with self.page.expect_navigation():
            button.first.click()
        if "/reauthenticate" in self.page.url and "/reauthenticate" not in before:
            self.page.fill("input[name=password]", self.password)
            with self.page.expect_navigation():
                self.page.click("main form [type=submit]")

    def code(self) -> str:
        """What the authenticator app shows; each is good once, and clocks may differ a little."""
        period = max(int(time.time() / PERIOD) - 1, self.spent + 1)
        while period > int(time.time() / PERIOD) + 1:
            time.sleep(0.5)
        self.spent = period
        return totp(self.secret, period)

    def letter(self, words: str, *, within: float = 60) -> str:
        """The text of the letter to this person that has these words in its subject."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            for letter in letters(self.mailbox):
                if letter["To"] == self.email and words in str(letter["Subject"]):
                    body = letter.get_body(("plain",))
                    assert body
                    return str(body.get_content())
            time.sleep(0.3)
        said = [str(letter["Subject"]) for letter in letters(self.mailbox)]
        raise AssertionError(f"no letter about {words!r} to {self.email}: {said}")


def arrive(browser: Browser, stack: Stack, name: str, address: str, organisation: str) -> Person:
    """Open a browser for somebody whom the hub does not know yet."""
    context = browser.new_context(base_url=stack.url, viewport=DESKTOP, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    person = Person(name, address, page, stack.folder / "letters", organisation)

    def hear(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            person.complaints.append(f"{page.url}: {message.text}")

    page.on("console", hear)
    page.on("pageerror", lambda error: person.complaints.append(f"{page.url}: {error}"))
    return person


def letters(mailbox: Path) -> list[email.message.EmailMessage]:
    """All that the hub has sent, as Django's backend for files keeps it."""
    parts = [
        part.strip()
        for file in sorted(mailbox.glob("*.log"))
        for part in re.split(rb"^-{79}$", file.read_bytes(), flags=re.MULTILINE)
    ]
    return [email.message_from_bytes(part, policy=email.policy.default) for part in parts if part]


def totp(secret: str, period: int) -> str:
    """Six digits by RFC 6238, with SHA-1."""
    key = base64.b32decode(secret)
    digest = hmac.digest(key, period.to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06d}"


def sign_in(person: Person) -> None:
    page = person.page
    page.goto("/accounts/login/")
    page.fill("input[name=login]", person.email)
    page.fill("input[name=password]", person.password)
    person.send(page.locator("main form [type=submit]"))
    if person.secret:
        page.fill("input[name=code]", person.code())
        person.send(page.locator("main form [type=submit]"))


def sign_out(person: Person) -> None:
    person.page.goto("/accounts/logout/")
    person.send(person.page.locator("main form [type=submit]"))


def set_up_second_factor(person: Person) -> None:
    """Do what the page says with an authenticator app."""
    person.page.goto("/accounts/2fa/totp/activate/")
    person.secret = person.page.input_value("#authenticator_secret")
    person.page.fill("input[name=code]", person.code())
    person.send(person.page.locator("main form [type=submit]"))
    person.sees("recovery codes")

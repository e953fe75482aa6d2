"""A passkey, made and used in a real browser whose authenticator is virtual."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.e2e.conftest import QUIET
from tests.factories.accounts import PASSWORD, UserFactory

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.django_db(transaction=True)
def test_a_passkey_is_made_and_signs_in_without_a_password(live_server):
    UserFactory(email="ada@example.org", name="Ada")  # before the browser's event loop runs
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        page = chromium.new_page(base_url=live_server.url)
        errors: list[str] = []
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        cdp = page.context.new_cdp_session(page)
        cdp.send("WebAuthn.enable")
        cdp.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        sign_in_by_password(page)
        add_passkey(page)
        page.context.clear_cookies()
        page.goto("/accounts/login/")
        page.get_by_role("button", name=re.compile("passkey", re.IGNORECASE)).click()
        expect(page.get_by_role("banner")).to_contain_text("Ada")
        page.goto("/account/")
        expect(page.locator("main")).to_contain_text("On")
        chromium.close()
    assert not [error for error in errors if "Content Security Policy" in error]


def sign_in_by_password(page: Page) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill("ada@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("banner")).to_contain_text("Ada")


def add_passkey(page: Page) -> None:
    page.goto("/accounts/2fa/webauthn/add/")
    page.get_by_label("Name").fill("My computer")
    page.get_by_label(re.compile("passwordless", re.IGNORECASE)).check()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("main")).to_contain_text(re.compile("recovery codes", re.IGNORECASE))

"""The whole story in a browser: registration → federation → run → download."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.e2e.looks import fits_a_phone, without_violations
from tests.e2e.stack import Stack

README = Path(__file__).resolve().parents[2] / "README.md"
PASSWORD = "correct-horse-battery-7"
CAST = {"ada": "Ada Institute", "blaise": "Blaise Bank"}


def test_two_organisations_register_federate_train_and_download(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    pages = {name: newcomer(browser, stack, name) for name in CAST}
    for name, page in pages.items():
        register(page, stack, name)
    ada, blaise = pages["ada"], pages["blaise"]
    slug = found(ada, stack)
    join(blaise, ada, stack, slug)
    for name, page in pages.items():
        enrol(page, stack, name, slug)
    start_run(ada, stack, slug)
    expect(ada.get_by_text("completed").first).to_be_visible(timeout=150_000)
    without_violations(ada)
    download(ada, tmp_path)
    look_through_the_registry(ada, slug)
    ask(ada)
    read_the_record(blaise, slug)
    follow_the_readme(stack)


def newcomer(browser: Browser, stack: Stack, name: str) -> Page:
    page = browser.new_context(base_url=stack.url, accept_downloads=True).new_page()
    page.set_default_timeout(30_000)
    page.on("pageerror", lambda error: (_ for _ in ()).throw(AssertionError(str(error))))
    page.goto("/accounts/signup/")
    page.fill("input[name=name]", name.title())
    page.fill("input[name=email]", f"{name}@example.org")
    page.fill("input[name=password1]", PASSWORD)
    page.click("main button[type=submit]")
    expect(page.locator("main")).to_contain_text("organisation", ignore_case=True)
    return page


def register(page: Page, stack: Stack, name: str) -> None:
    page.goto("/organisations/register")
    page.get_by_label("Name").fill(CAST[name])
    page.click("main form button[type=submit]")
    expect(page.locator("main")).to_contain_text(CAST[name])
    stack.manage("approve_organisation", CAST[name].lower().replace(" ", "-"))


def found(page: Page, stack: Stack) -> str:
    page.goto("/federations/new")
    page.fill("input[name=name]", "Weather")
    page.fill("textarea[name=purpose]", "To tell hot from cold.")
    page.click("main form .button.is-primary")
    page.get_by_label("Tiny").check()
    page.click("main form .button.is-primary")
    expect(page.locator("textarea[name=charter]")).to_contain_text("1. Purpose")
    page.click("main form .button.is-primary")
    for kind in ("admit", "release", "rollback"):
        page.check(f"input[name=led][value={kind}]")
    page.click("main form .button.is-primary")
    page.check("input[name=agree]")
    page.click("main form .button.is-primary")
    expect(page).to_have_url(re.compile(r"/federations/weather"))
    expect(page.locator("h1")).to_contain_text("Weather")
    return page.url.rsplit("/", 1)[1].split("?")[0]


def join(newcomer: Page, lead: Page, stack: Stack, slug: str) -> None:
    newcomer.goto(f"/federations/{slug}/join")
    newcomer.locator("main input[type=checkbox]").first.check()
    newcomer.click("main form button[type=submit]")
    expect(newcomer.locator("body")).to_contain_text("has signed and asks to join")
    lead.goto(f"/federations/{slug}")
    lead.locator("form[action*=approve] button").first.click()
    expect(lead.locator("main")).to_contain_text(CAST["blaise"])


def enrol(page: Page, stack: Stack, name: str, slug: str) -> None:
    page.goto("/agents/enrol")
    page.click("main form button[type=submit]")
    line = page.get_by_text("foedus-agent enrol").first.inner_text()
    stack.enrol(name, line, slug)
    page.goto("/agents/")
    expect(page.locator("main")).to_contain_text(f"{name}-1")


def start_run(page: Page, stack: Stack, slug: str) -> None:
    page.goto(f"/federations/{slug}/runs/new")
    page.fill("textarea[name$=labels]", "hot\ncold")
    page.fill("input[name$=count]", "2")
    page.evaluate("document.querySelectorAll('main details').forEach((part) => (part.open = true))")
    page.select_option("select[name$=method]", "cgsv")
    page.fill("input[name$=budget]", "1001")
    page.get_by_role("button", name="Start the run").click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]{36}"))


def download(page: Page, folder: Path) -> None:
    page.get_by_role("link", name="Version 2").first.click()
    expect(page).to_have_url(re.compile(r"/versions/"))
    with page.expect_download() as started:
        page.locator("a[href$='adapter_config.json']").first.click()
    target = folder / "adapter_config.json"
    started.value.save_as(target)
    assert json.loads(target.read_text())["base_model_name_or_path"] == "base/tiny"


def look_through_the_registry(page: Page, slug: str) -> None:
    """Each page of a version and of its line: accessible, and no wider than a phone."""
    version = page.url
    names = ("card", "evaluation", "origins", "decisions", "try")
    addresses = [version, f"{version}?commit=1", *(f"{version}/{name}" for name in names)]
    addresses += [f"/federations/{slug}/{name}" for name in ("lineage", "decisions", "probes")]
    addresses += ["/models/", "/base-models/tiny"]
    for address in addresses:
        answer = page.goto(address)
        assert answer
        assert answer.ok, address
        fits_a_phone(page)
        without_violations(page)
    page.goto(f"/federations/{slug}/versions")
    for box in page.get_by_label(re.compile("Compare version")).all():
        box.check()
    page.get_by_role("button", name=re.compile("Compare")).click()
    expect(page).to_have_url(re.compile(r"/versions/compare\?v="))
    fits_a_phone(page)
    without_violations(page)
    page.goto(version)


def ask(page: Page) -> None:
    """A question to the version, answered by a worker beside the base."""
    page.get_by_role("link", name="Try it").click()
    page.locator("main form textarea").first.fill("The sun burns.")
    page.get_by_role("button", name="Ask both").click()
    answer = page.locator("#answer")
    expect(answer).to_contain_text("hot", timeout=60_000)
    expect(answer).to_contain_text("cold")
    fits_a_phone(page)
    without_violations(page)


def read_the_record(page: Page, slug: str) -> None:
    """The other party sees what all gave, what that was worth and what they got, and checks it."""
    for name in ("", "/value", "/rewards"):
        page.goto(f"/federations/{slug}/contributions{name}")
        for organisation in CAST.values():
            expect(page.locator("main")).to_contain_text(organisation)
        fits_a_phone(page)
        without_violations(page)
    expect(page.locator("main")).to_contain_text("of 1,001")
    page.get_by_role("link", name=re.compile("statement of Blaise Bank")).click()
    fits_a_phone(page)
    without_violations(page)
    page.goto(f"/federations/{slug}/ledger")
    page.get_by_role("button", name="Check it here").click()
    expect(page.locator("#ledger-checked")).to_contain_text("which the ledger's key has signed")
    fits_a_phone(page)
    without_violations(page)
    page.goto(f"/federations/{slug}/ledger/3")
    expect(page.locator("main")).to_contain_text("Hash of the entry")
    fits_a_phone(page)
    without_violations(page)


def follow_the_readme(stack: Stack) -> None:
    """Its commands start a run, as they stand there."""
    given = {"HUB": stack.url, "EMAIL": "ada@example.org", "PASSWORD": PASSWORD}
    assert run_block("curl", ["bash", "-euo", "pipefail", "-c"], given) in {"queued", "running"}
    answer = httpx.post(
        f"{stack.url}/api/v1/tokens",
        auth=(given["EMAIL"], PASSWORD),
        json={"name": "python", "days": 1, "scope": "write"},
        headers={"Idempotency-Key": "readme-python"},
    )
    given["TOKEN"] = answer.raise_for_status().json()["token"]
    assert re.fullmatch(r"[0-9a-f-]{36}", run_block("python", [sys.executable, "-c"], given))


def run_block(name: str, interpreter: list[str], given: dict[str, str]) -> str:
    block = re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL)
    assert block, name
    done = subprocess.run(
        [*interpreter, block[1]],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()

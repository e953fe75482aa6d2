"""Governance in a browser, from two registrations by strangers to an organisation that leaves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.people import (
    Person,
    arrive,
    set_up_second_factor,
    sign_in,
    sign_out,
)
from tests.e2e.stack import Stack, running
from tests.federation.modelling.worlds import save_encoder

ROUNDS = 6
QUEUE = "/console/organisations/organisation/registrations/"
RUN = re.compile(r"/runs/[0-9a-f-]{36}")
PROPOSAL = re.compile(r"/proposals/[0-9a-f-]{36}")
LICENCE = "You may do with these weights what the law allows, and blame nobody for it."
CLAUSE = "9. Audit\nEach party may ask once a year for an account of what the others have trained."


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A hub that sends mail, proves addresses and wants a second factor of its operators."""
    folder = tmp_path_factory.mktemp("governance")
    base = save_encoder(folder / "base")
    (base / "LICENSE").write_text(LICENCE)
    mail = {"EMAIL_URL": f"filemail:///{folder / 'letters'}", "EMAIL_VERIFICATION": "mandatory"}
    with running(folder, REQUIRE_OPERATOR_MFA="true", **mail) as up:
        up.manage(
            "register_base_model", str(base), "--slug", "tiny", "--name", "Tiny",
            "--licence", "Apache-2.0", "--must-accept",
        )  # fmt: skip
        yield up


@pytest.mark.timeout(1500)
def test_two_organisations_agree_decide_and_part(browser: Browser, stack: Stack) -> None:
    ada = arrive(browser, stack, "Ada", "ada@institute.example", "Ada Institute")
    blaise = arrive(browser, stack, "Blaise", "blaise@bank.example", "Blaise Bank")
    for person in (ada, blaise):
        register(person, is_shown=person is ada)
    operate(arrive(browser, stack, "Olga", "olga@hub.example", ""), stack, (ada, blaise))
    for person in (ada, blaise):
        prove_twice(person, is_shown=person is ada)
    federation = found(ada)
    come(blaise, ada, federation)
    for person in (ada, blaise):
        enrol(person, stack, federation)
    charter = propose_charter(ada, federation)
    run = draft(ada, federation, credits_=1001)
    agree_on_run(ada, blaise, federation, run)
    change_charter_while_it_runs(ada, blaise, federation, run, charter)
    sign_again(ada, blaise, federation, run)
    look_back(ada, federation)
    leave(blaise, ada, stack, federation, run)


def register(person: Person, *, is_shown: bool) -> None:
    """From outside, in one form; the link of the mail hands it in."""
    page = person.page
    page.goto("/")
    page.locator("main").get_by_role("link", name="Register your organisation").first.click()
    page.wait_for_url("**/organisations/register")
    if is_shown:
        person.look("01-register")
    page.get_by_label("Name of the organisation").fill(person.organisation)
    page.get_by_label("What it does").fill("It knows when the sun shines.")
    page.get_by_label("Website").fill(f"www.{person.email.partition('@')[2]}")
    page.get_by_label("Country").fill("Norway")
    page.get_by_label("Your name").fill(person.name)
    page.get_by_label("Your e-mail address").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    person.press("Register")
    person.sees("Look into your mail")
    if is_shown:
        person.look("02-handed-in")
    page.goto(linked(person.letter("onfirm"), "registrations"))
    if is_shown:
        person.look("03-confirm")
    page.fill("input[name=password]", person.password)
    person.press("Hand it in")
    person.sees("Waiting for the operator of this hub.")
    if is_shown:
        person.look("04-waiting")
        person.look("05-home-waiting", "/")


def linked(letter: str, path: str) -> str:
    found = re.search(rf"http\S+/{path}/\S+", letter)
    assert found, letter
    return found[0]


def operate(olga: Person, stack: Stack, waiting: tuple[Person, ...]) -> None:
    """An operator without a second factor sees nothing; with one, the queue of registrations."""
    said = stack.manage("make_operator", olga.email, "--name", olga.name)
    olga.password = said.rpartition(": ")[2].strip()
    sign_in(olga)
    olga.page.goto("/console/")
    expect(olga.page).to_have_url(re.compile("/accounts/2fa/"))
    olga.look("06-operator-owes-a-factor")
    set_up_second_factor(olga)
    olga.look("07-console", "/console/")
    olga.look("08-console-registrations", QUEUE)
    for number, person in enumerate(waiting):
        olga.page.goto(QUEUE)
        panel = olga.page.locator("section", has_text=person.email)
        panel.get_by_role("link", name="Approve").click()
        olga.page.wait_for_url("**/act/approve/**")
        if not number:
            olga.look("09-console-approve")
        olga.page.fill("textarea[name=reason]", "Called back by the number in the register.")
        olga.send(olga.page.get_by_role("button", name="Approve"))
        olga.sees("Done and recorded.")
    olga.sees("Nobody waits.")


def prove_twice(person: Person, *, is_shown: bool) -> None:
    """An authenticator app, and a sign-in that asks for it."""
    assert person.organisation in person.letter("approved")
    page = person.page
    if is_shown:
        person.look("10-home-approved", "/")
        person.look("11-factors", "/accounts/2fa/")
        person.look("12-authenticator", "/accounts/2fa/totp/activate/")
    set_up_second_factor(person)
    if is_shown:
        person.look("13-recovery-codes")
    sign_out(person)
    page.goto("/accounts/login/")
    page.fill("input[name=login]", person.email)
    page.fill("input[name=password]", person.password)
    person.send(page.locator("main form [type=submit]"))
    if is_shown:
        person.look("14-second-factor")
    page.fill("input[name=code]", person.code())
    person.send(page.locator("main form [type=submit]"))
    expect(page.locator("h1")).to_have_text("Home")


def found(ada: Person) -> str:
    """Five steps; whatever a run pays out needs a vote, and nobody comes uninvited."""
    page = ada.page
    ada.look("15-federations-none", "/federations/")
    page.goto("/federations/new")
    page.fill("input[name=name]", "Weather")
    page.fill("textarea[name=purpose]", "To tell hot from cold, for forecasts that both need.")
    ada.look("16-wizard-about")
    ada.press("Next")
    page.get_by_label("Tiny", exact=False).first.check()
    page.check("input[name=accept]")
    ada.look("17-wizard-base")
    ada.press("Next")
    text = page.input_value("textarea[name=charter]")
    page.fill("textarea[name=charter]", text.replace("at any time", "at the end of any month"))
    ada.press("Preview, and compare with the template")
    ada.look("18-wizard-charter")
    ada.press("Next")
    page.check("input[name=join][value=invitation]")
    page.fill("input[name=credits_without_vote]", "0")
    ada.look("19-wizard-policy")
    ada.press("Next")
    page.check("input[name=agree]")
    ada.look("20-wizard-review")
    ada.press("Sign and found")
    expect(page).to_have_url(re.compile(r"/federations/weather"))
    ada.look("21-federation-new")
    return page.url.rsplit("/", 1)[1].partition("?")[0]


def come(blaise: Person, ada: Person, federation: str) -> None:
    """By a link that only the mailbox has; the charter is signed on the page that it leads to."""
    ada.page.goto(f"/federations/{federation}/invitations")
    ada.page.fill("input[name=email]", blaise.email)
    ada.press("Send the link")
    ada.sees(f"A link is on its way to {blaise.email}.")
    ada.look("22-invitations")
    blaise.page.goto(linked(blaise.letter("Weather"), "invitations/by"))
    blaise.look("23-invitation")
    blaise.press("Accept")
    expect(blaise.page).to_have_url(re.compile("/join"))
    for box in ("accept", "agree"):
        blaise.page.check(f"input[name={box}]")
    blaise.look("24-join")
    blaise.send(blaise.page.locator("main form .button.is-primary"))
    blaise.sees("Blaise Bank has signed and takes part.")
    blaise.look("25-federation-joined")


def enrol(person: Person, stack: Stack, federation: str) -> None:
    name = person.name.lower()
    person.page.goto("/agents/enrol")
    person.send(person.page.locator("main form button[type=submit]"))
    line = person.page.get_by_text("foedus-agent enrol").first.inner_text()
    stack.enrol(name, line, federation)
    person.page.goto("/agents/")
    person.sees(f"{name}-1")


def propose_charter(ada: Person, federation: str) -> str:
    """Open until the other has voted; returns where its page is."""
    page = ada.page
    ada.look("26-propose", f"/federations/{federation}/proposals/new")
    page.goto(f"/federations/{federation}/proposals/new?kind=charter")
    text = page.input_value("textarea[name=text]")
    page.fill("textarea[name=text]", f"{text}\n\n{CLAUSE}")
    page.fill("textarea[name=reason]", "Our auditors ask for it.")
    ada.look("27-propose-charter")
    ada.press("Propose")
    expect(page).to_have_url(PROPOSAL)
    ada.sees("1 of 2 have voted")
    return page.url


def draft(ada: Person, federation: str, *, credits_: int) -> str:
    """A run that may not start by itself; returns where its page is."""
    plan(ada.page, federation, credits_)
    ada.press("Start the run")
    ada.sees("is kept as a draft.")
    expect(ada.page).to_have_url(RUN)
    if credits_:
        ada.look("28-run-needs-a-vote")
    return ada.page.url


def plan(page: Page, federation: str, credits_: int) -> None:
    page.goto(f"/federations/{federation}/runs/new")
    page.fill("textarea[name$=labels]", "hot\ncold")
    page.fill("input[name$=count]", str(ROUNDS))
    page.evaluate("document.querySelectorAll('main details').forEach((part) => (part.open = true))")
    page.select_option("select[name$=method]", "cgsv")
    page.fill("input[name$=budget]", str(credits_))


def agree_on_run(ada: Person, blaise: Person, federation: str, run: str) -> None:
    """Both say yes, and the run starts with the second voice."""
    ada.page.goto(f"/federations/{federation}/proposals/new?kind=run")
    ada.page.fill("textarea[name=reason]", "We have data enough by now.")
    ada.look("29-propose-run")
    ada.press("Propose")
    expect(ada.page).to_have_url(PROPOSAL)
    ada.look("30-proposal-open")
    blaise.look("31-inbox-votes", "/inbox")
    blaise.look("32-proposals", f"/federations/{federation}/proposals")
    blaise.look("33-proposal-to-vote", ada.page.url)
    blaise.page.fill("main input[name=reason]", "So have we.")
    blaise.press("Yes")
    blaise.sees("The proposal is accepted.")


def change_charter_while_it_runs(
    ada: Person, blaise: Person, federation: str, run: str, charter: str
) -> None:
    """The round that is under way ends; the next one waits, and no other run starts."""
    blaise.page.goto(charter)
    ada.page.goto(run)
    ada.sees(f"1 of {ROUNDS} done", within=150)
    blaise.press("Yes")
    blaise.sees("The proposal is accepted.")
    blaise.look("34-proposal-accepted")
    ada.sees("to sign the present charter, and then goes on by itself.", within=90)
    ada.look("35-run-waits")
    draft(ada, federation, credits_=0)
    ada.sees(re.compile("Blaise Bank.* to sign the present charter"))
    ada.look("36-run-refused")
    ada.look("37-federation-waits", f"/federations/{federation}")
    ada.look("38-charter-waits", f"/federations/{federation}/charter")


def sign_again(ada: Person, blaise: Person, federation: str, run: str) -> None:
    """With the last signature the run goes on by itself, to its end."""
    sign(ada, federation)
    ada.sees("until Blaise Bank has signed it")
    ada.page.goto(run)
    ada.sees("It waits for Blaise Bank to sign the present charter")
    blaise.look("39-home-to-sign", "/")
    blaise.look("40-charter-to-sign", f"/federations/{federation}/charter")
    sign(blaise, federation)
    blaise.look("41-charter-signed")
    blaise.page.goto(run)
    expect(blaise.page.get_by_text("completed").first).to_be_visible(timeout=240_000)
    blaise.look("42-run-completed")


def sign(person: Person, federation: str) -> None:
    person.page.goto(f"/federations/{federation}/charter")
    person.page.check("input[name=agree]")
    person.press("Sign version 2")
    person.sees("Version 2, in force")


def look_back(ada: Person, federation: str) -> None:
    """What was agreed, decided and done stands on pages that everybody inside can read."""
    ada.look("43-members", f"/federations/{federation}/members")
    ada.look("44-policy", f"/federations/{federation}/policy")
    ada.look("45-charter-before", f"/federations/{federation}/charter?version=1")
    ada.look("46-proposals-decided", f"/federations/{federation}/proposals")
    ada.look("47-inbox", "/inbox")
    ada.look("48-audit", "/audit/")
    ada.sees("Blaise")


def leave(blaise: Person, ada: Person, stack: Stack, federation: str, run: str) -> None:
    """The page says what stays; afterwards the federation's inside is closed to it."""
    page = blaise.page
    page.goto(f"/federations/{federation}")
    page.get_by_role("link", name="Leave…").click()
    blaise.sees("Versions that hold its contribution")
    blaise.sees("Rebuild without")
    blaise.look("49-leaving")
    page.fill("input[name=reason]", "The budget has ended.")
    blaise.press("Leave at once")
    blaise.sees("has left")
    blaise.look("50-left")
    for path in (run, *(f"/federations/{federation}/{tab}" for tab in ("members", "proposals"))):
        answer = page.goto(path)
        assert answer
        assert answer.status == 404, path
    blaise.look("51-home-after", "/")
    ada.look("52-members-after", f"/federations/{federation}/members")
    ada.sees("left")
    ada.page.get_by_role("link", name="What it has given").click()
    ada.sees("What Blaise Bank has given")
    ada.look("53-departed")

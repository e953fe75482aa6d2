"""Everybody at every door: each address × method × caller, in one world of several tenants.

What is not somebody's is to them as if it were not there; what their role or their organisation's
place does not carry is refused; who has not signed in is sent to do so. A view that does not say
who may see it fails, and so does an act of which `tests/api/rights.py` does not know what it needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

import pytest
from django.core.cache import cache as limits
from django.db import transaction
from django.test import Client

from hub.organisations.models import CustomRole
from hub.organisations.permissions import GIVEN_ROLES
from tests.api.addresses import Address, addresses
from tests.api.rights import RIGHTS, Need, Of
from tests.api.seeded import SECRET, Seeded, bearer, browser
from tests.api.walking import METHODS, OURS, Answered, Walk
from tests.factories.accounts import UserFactory
from tests.factories.organisations import MembershipFactory
from tests.signing import SignedClient

pytestmark = pytest.mark.django_db

ROLES = [name for name, _ in GIVEN_ROLES]
STANDINGS = ["lead", "contributor", "observer"]
DIALECT = "hf/"
CHANGES = re.compile(
    rb'"request_id": "[^"]*"|name="csrfmiddlewaretoken" value="[^"]*"|CSRFToken": "[^"]*"'
)
NAMES = re.compile(rb"no-[0-9a-f-]{36}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Belongs to nobody: who has signed in sees it, or is told that it is for operators.
SHARED = re.compile(
    r"(api/v1/)?base-models/\{\}(/accept)?|api/v1/organisations/\{\}/(approve|refuse|re|sus)\w*"
    r"|hf/api/\{\}/\{\}"
)
# What is read of a body before anything is looked up.
SAID_FIRST = {"api/v1/versions/{}/try": {422}, "api/v1/base-model-files/{}": {412}}
INLINE = re.compile(
    rb"<[^>]+\s(on[a-z]+|style)\s*=\s*[\"']|<style[\s>]|<script>|<script type=\"text/javascript\">"
)
STYLED = {"api/docs"}  # a page of a package, whose styles are its own


@pytest.fixture(scope="module")
def walk(django_db_setup: None, django_db_blocker: Any) -> Iterator[Walk]:
    with django_db_blocker.unblock(), transaction.atomic():
        yield Walk(Seeded())
        transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def said(walk: Walk, request: pytest.FixtureRequest) -> Iterator[None]:
    before = sum(walk.counted.values())
    yield
    print(f"{request.node.name}: {sum(walk.counted.values()) - before} calls")


@cache
def methods_of(address: Address) -> tuple[str, ...]:
    """As the class of the view has them; of a function, as its refusal of another one says."""
    actions = getattr(address.callback, "actions", None)
    if actions:
        return tuple(method for method in METHODS if method.lower() in actions)
    if isinstance(address.view, type):
        return tuple(method for method in METHODS if hasattr(address.view, method.lower()))
    return allowed_of(address)


ALLOWED: dict[str, tuple[str, ...]] = {}


def allowed_of(address: Address) -> tuple[str, ...]:
    return ALLOWED[address.pattern]


@pytest.fixture(scope="module", autouse=True)
def asked_for_methods(walk: Walk) -> None:
    """What pages take, by what they answer to OPTIONS."""
    client, names = browser(walk.world.lead.owner), walk.names(walk.world.lead)
    for one in OURS:
        if isinstance(one.view, type):
            continue
        answer = walk.call(client, "OPTIONS", one, names)
        allow = answer.headers.get("Allow", "GET, POST")
        ALLOWED[one.pattern] = tuple(method for method in METHODS if method in allow)


def doors() -> Iterator[tuple[Address, str]]:
    for one in OURS:
        for method in methods_of(one):
            yield one, method


def test_every_view_says_who_may_see_it() -> None:
    silent = [str(one) for one in addresses() if one.is_ours and not one.is_declared]
    assert [one for one in silent if not one.startswith("console/")] == []


def test_it_is_known_what_every_act_needs(walk: Walk) -> None:
    acts = {f"{m} {one.shape}" for one, m in doors() if m != "GET"}
    people = {act for act in acts if " api/v1/agent/" not in act and " hf/" not in act}
    assert people - set(RIGHTS) == set(), "say in tests/api/rights.py what it needs"
    assert {key for key in RIGHTS if not key.startswith("POST api/models")} - people == set()


def test_who_has_not_signed_in_is_sent_to(walk: Walk) -> None:
    names, client = walk.names(walk.world.lead), Client()
    for one, method in doors():
        answer = walk.call(client, method, one, names)
        if one.area == DIALECT:
            assert answer.status in {200, 401, 404}, (method, one, answer.status)
        elif one.is_api:
            expected = {401} if _has_callers(one) else {200, 400, 405, 422, 429}
            assert answer.status in expected, (method, one, answer.status)
        elif one.is_for_strangers:
            assert answer.status in {200, 400, 401, 404, 405}, (method, one, answer.status)
        else:
            assert answer.status == HTTPStatus.FOUND, (method, one, answer.status)
            assert answer.headers["Location"].startswith("/accounts/login/"), one
        assert SECRET.encode() not in answer.body, one


def _has_callers(one: Address) -> bool:
    return bool(one.view.authentication_classes)


def test_what_is_another_tenants_is_as_if_it_were_not_there(walk: Walk) -> None:
    foreign = walk.names(walk.world.lead)
    nobodys = foreign.nobodys()
    person, dialect = browser(walk.world.outside.owner), bearer(walk.world.outside.owner)
    wrong = []
    for one, method in doors():
        client = dialect if one.area == DIALECT else person
        answer = walk.call(client, method, one, foreign)
        assert SECRET.encode() not in answer.body, one
        need = RIGHTS.get(f"{method} {one.shape}")
        if not one.has_names and not (need and need.is_about_something):
            continue
        twin = walk.call(client, method, one, nobodys)
        if SHARED.fullmatch(one.shape):
            continue
        told = (method, one.shape, answer.status, twin.status, answer.body[:200])
        if (answer.status, _same(answer)) != (twin.status, _same(twin)):
            wrong.append(told)
        is_hidden = answer.status in ({404} | SAID_FIRST.get(one.shape, set()))
        if one.has_names and one.area in {"api/v1/", ""} and not is_hidden:
            wrong.append(told)
    assert wrong == []


def _same(answer: Answered) -> bytes:
    return NAMES.sub(b"", CHANGES.sub(b"", answer.body))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("standing", STANDINGS)
def test_a_member_does_what_role_and_place_carry(walk: Walk, standing: str, role: str) -> None:
    of = walk.world.tenant_of(standing)
    person, names = of.people[role], walk.names(of)
    client, dialect = browser(person), bearer(person)
    limits.clear()
    wrong = []
    reads = role == "owner" or standing == "lead"  # all roles see alike elsewhere
    for one, method in doors():
        if method == "GET" and not reads:
            continue
        answer = walk.call(dialect if one.area == DIALECT else client, method, one, names)
        strict(one, answer)
        need = RIGHTS.get(f"{method} {one.shape}")
        if need is None or one.area == DIALECT:
            expected = {401} if one.pattern.startswith("api/v1/agent/") else set()
            is_open = one.is_api and not _has_callers(one)
            assert is_open or not expected or answer.status in expected, (method, one)
            continue
        if not fits(need, standing, role, answer):
            wrong.append((method, one.shape, answer.status, answer.body[:160]))
    assert wrong == []


def fits(need: Need, standing: str, role: str, answer: Answered) -> bool:
    """Whether the answer is what this role, in an organisation of this standing, should get."""
    if need.of is Of.OPERATORS:
        return answer.status == HTTPStatus.FORBIDDEN
    if need.of is Of.MAKER:
        is_maker = (standing, role) == ("lead", "owner")
        return answer.status != HTTPStatus.FORBIDDEN if is_maker else answer.status == 404
    if need.allows(standing, role):
        return answer.status not in ({401, 404} if need.permission is None else {401, 403, 404})
    return answer.status == (HTTPStatus.NOT_FOUND if need.hides else HTTPStatus.FORBIDDEN)


def strict(one: Address, answer: Answered) -> None:
    """No page carries code or style of its own, and its policy forbids both."""
    if not answer.is_page:
        return
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src 'self'" in policy
    if one.pattern not in STYLED:
        assert "unsafe" not in policy, one
        assert not (found := INLINE.search(answer.body)), (one, found)


def test_a_role_that_carries_nothing_does_nothing(walk: Walk) -> None:
    of = walk.world.lead
    role = CustomRole.objects.create(organisation=of.organisation, name="Guest", permissions=[])
    person = MembershipFactory(
        organisation=of.organisation, role="custom", custom_role=role, user=UserFactory()
    ).user
    client, names = browser(person), walk.names(of)
    for one, method in doors():
        need = RIGHTS.get(f"{method} {one.shape}")
        if need and need.of is not Of.ANYBODY and not SHARED.fullmatch(one.shape):
            answer = walk.call(client, method, one, names)
            assert answer.status in {403, 404}, (method, one, answer.status, answer.body[:300])


def test_an_operator_is_no_member(walk: Walk) -> None:
    """Operators run the hub; what belongs to a federation is not theirs to read here."""
    client, names = browser(walk.world.operator), walk.names(walk.world.lead)
    for one, method in doors():
        answer = walk.call(client, method, one, names)
        strict(one, answer)
        need = RIGHTS.get(f"{method} {one.shape}")
        if need and need.of in {Of.FEDERATION, Of.MEMBERS} and one.has_names:
            assert answer.status in {403, 404}, (method, one, answer.status)


@pytest.mark.parametrize("whose", ["lead", "outside"])
def test_an_agent_comes_to_agents_doors_only(walk: Walk, whose: str) -> None:
    client = SignedClient(walk.world.tenant_of(whose).agent)
    names = walk.names(walk.world.lead)
    nobodys = names.nobodys()
    for one, method in doors():
        if one.area == DIALECT:
            continue
        answer = walk.call(client, method, one, names)
        if not one.pattern.startswith("api/v1/agent/"):
            assert SECRET.encode() not in answer.body, one
            expected = {302, 401, 403} if not _is_open(one) else {200, 400, 401, 404, 422}
            assert answer.status in expected or _is_for_both(one), (method, one, answer.status)
        elif whose == "outside" and one.has_names:
            twin = walk.call(client, method, one, nobodys)
            assert (answer.status, _same(answer)) == (twin.status, _same(twin)), (method, one)
            assert answer.status in {400, 404, 412, 422}, (method, one, answer.status)


def _is_open(one: Address) -> bool:
    return not _has_callers(one) if one.is_api else one.is_for_strangers


def _is_for_both(one: Address) -> bool:
    return one.is_api and any(p.__name__ == "IsPersonOrAgent" for p in one.view.permission_classes)


def test_a_token_that_reads_changes_nothing(walk: Walk) -> None:
    client, names = bearer(walk.world.lead.owner, "read"), walk.names(walk.world.lead)
    for one, method in doors():
        if method != "GET" and one.area == "api/v1/" and _has_callers(one):
            answer = walk.call(client, method, one, names)
            assert (answer.status, json.loads(answer.body)["code"]) == (403, "token_scope"), one


@pytest.mark.parametrize("who", ["stranger", "member"])
def test_the_console_is_for_operators(walk: Walk, who: str) -> None:
    client = Client() if who == "stranger" else browser(walk.world.lead.owner)
    names = walk.names(walk.world.lead)
    for one in addresses():
        if one.area == "console/":
            for method in ("GET", "POST"):
                answer = walk.call(client, method, one, names)
                assert answer.status in {302, 403, 404, 405}, (method, one, answer.status)


def test_other_methods_are_refused(walk: Walk) -> None:
    client, names = browser(walk.world.lead.owner), walk.names(walk.world.lead)
    for one in OURS:
        for method in set(METHODS) - set(methods_of(one)):
            answer = walk.call(client, method, one, names)
            assert answer.status in {401, 403, 405}, (method, one, answer.status)


def test_pages_of_accounts_are_strict_too(walk: Walk) -> None:
    names = walk.names(walk.world.lead)
    for client in (Client(), browser(walk.world.lead.owner)):
        for one in addresses():
            if one.area == "accounts/":
                strict(one, walk.call(client, "GET", one, names))

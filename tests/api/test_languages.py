"""What people read can be said in every language, and what is stored is said in one.

All pages are walked, and all acts are done, in a language that shows which words are messages.
Words outside of them are data, or nobody has marked them; a message in the database is one that
others would read in the language of whoever happened to cause it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models, transaction
from django.test import Client

from hub.accounts.models import User
from hub.federations.charters.wizardforms import charter_template
from tests.api.addresses import Address, addresses
from tests.api.rights import RIGHTS, Need, Of
from tests.api.seeded import Seeded, browser
from tests.api.walking import Answered, Walk
from tests.pseudo import LANGUAGE, Texts, speak_pseudo

pytestmark = pytest.mark.django_db

# In English for all: the handbook, the reference, and the components for those who build pages.
ENGLISH = {"docs/problems", "api/docs", "styleguide"}
PAGES = [one for one in addresses() if one.area in {"", "accounts/"} and one.shape not in ENGLISH]
INTERFACES = [one for one in addresses() if one.area in {"api/v1/", "hf/"} or one.shape in ENGLISH]
WORDS = re.compile(
    r"\b(a|an|and|are|as|at|be|by|can|for|from|has|have|if|in|is|it|its|may|no|not|nothing|of|on|"
    r"or|that|the|their|this|to|was|what|who|will|with|you|your)\b",
    re.IGNORECASE,
)
ENOUGH = 2  # words of these make a sentence
WORD = re.compile(r"[^\W\d_]{3,}")
CODE = re.compile(r"\S*[\d/_@]\S*|\w+\.\w\S*")  # identifiers, sizes, addresses, permissions
LONGEST_NAME = 60  # of what is stored; what is longer is a text
# The same in all languages: names, units, methods, and what fields of allauth are called.
NAMES = (
    "foedus english deutsch utc gib tib mib kib min name latest query value ffa rolora fedex fedsb"
)


@dataclass
class Walked:
    """What was found in all pages and acts, each with one address where."""

    unmarked: dict[str, str] = field(default_factory=dict)  # what people read that is no message
    stored: dict[str, str] = field(default_factory=dict)  # messages
    answered: dict[str, str] = field(default_factory=dict)  # messages in interfaces and exports
    varying: set[str] = field(default_factory=set)  # interfaces that answer by language


@pytest.fixture(scope="module")
def walked(django_db_setup: None, django_db_blocker: Any) -> Iterator[Walked]:
    with (
        django_db_blocker.unblock(),
        transaction.atomic(),
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        walk = Walk(Seeded())
        User.objects.update(language=LANGUAGE)
        stored = everything_stored()
        speak_pseudo(monkeypatch)
        found = walk_through(walk)
        found.unmarked = {
            text: page for text, page in found.unmarked.items() if is_ours(text, stored)
        }
        yield found
        transaction.set_rollback(True)


def walk_through(walk: Walk) -> Walked:
    found, world = Walked(), walk.world
    owner, operator = browser(world.lead.owner), browser(world.operator)
    stranger = Client(headers={"Accept-Language": LANGUAGE})
    for one in PAGES:
        for client in (owner, operator, stranger):
            read(walk, client, "GET", one, found)
        for method, need in acts_at(one):
            with writing() as written:
                may = operator if need and need.of is Of.OPERATORS else owner
                read(walk, may, method, one, found)
            found.stored |= dict.fromkeys(written, f"{method} {one}")
    for one in INTERFACES:
        for method in ("GET", *(method for method, _ in acts_at(one))):
            ask(walk, owner, method, one, found)
    return found


def acts_at(one: Address) -> Iterator[tuple[str, Need | None]]:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        need = RIGHTS.get(f"{method} {one.shape}")
        if need or (method == "POST" and one.area != "api/v1/"):
            yield method, need


def read(walk: Walk, client: Client, method: str, one: Address, found: Walked) -> None:
    answer = walk.call(client, method, one, walk.names(walk.world.lead))
    if answer.is_page:
        found.unmarked |= dict.fromkeys(Texts(answer.body.decode()).found, f"{method} {one}")
    else:
        found.answered |= dict.fromkeys(messages_in(answer), f"{method} {one}")


def ask(walk: Walk, client: Client, method: str, one: Address, found: Walked) -> None:
    answer = walk.call(client, method, one, walk.names(walk.world.lead))
    found.answered |= dict.fromkeys(messages_in(answer), f"{method} {one}")
    if "Accept-Language" in answer.headers.get("Vary", ""):
        found.varying.add(str(one))


def messages_in(answer: Answered) -> list[str]:
    return re.findall("⟦.*?⟧", answer.body.decode(errors="replace"))


def told(found: Mapping[str, str]) -> str:
    return "\n".join(f"{text!r} in {where}" for text, where in sorted(found.items()))


def test_all_that_people_read_is_marked(walked: Walked) -> None:
    assert not walked.unmarked, f"mark these as messages:\n{told(walked.unmarked)}"


def test_what_is_stored_is_in_the_language_of_the_record(walked: Walked) -> None:
    assert not walked.stored, f"say these in on_record():\n{told(walked.stored)}"


def test_interfaces_and_exports_speak_the_language_of_the_record(walked: Walked) -> None:
    assert not walked.answered, told(walked.answered)
    assert walked.varying == set()


@dataclass(frozen=True)
class Stored:
    """What stands in the database is people's own, or on record; and what is sent to it here.

    So is the draft of a charter: a text that is signed has one wording.
    """

    texts: str
    words: frozenset[str]


def everything_stored() -> Stored:
    columns = (models.CharField, models.TextField, models.JSONField)
    found = [charter_template(), *texts_of([need.body for need in RIGHTS.values()])]
    for model in apps.get_models():
        named = [one.attname for one in model._meta.concrete_fields if isinstance(one, columns)]
        if named and model._meta.managed:
            rows = model._base_manager.values_list(*named)
            found += [text for row in rows for value in row for text in texts_of(value)]
    short = " ".join([NAMES, *(text for text in found if len(text) <= LONGEST_NAME)])
    return Stored(" ".join(" ".join(found).split()), frozenset(WORD.findall(short.lower())))


def is_ours(text: str, stored: Stored) -> bool:
    """Whether somebody wrote it into code or a template: a sentence, or a word that is no name."""
    if text in stored.texts:
        return False
    words = set(WORD.findall(CODE.sub("", text).lower()))
    return len(WORDS.findall(text)) >= ENOUGH or not words <= stored.words


@contextmanager
def writing() -> Iterator[set[str]]:
    """The messages that are written to the database, in other rows than those of sessions."""
    written = set[str]()

    def look(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE")) and "django_session" not in sql:
            written.update(text for text in texts_of(params or ()) if "⟦" in text)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        yield written


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for one in value:
            yield from texts_of(one)
    else:
        yield str(getattr(value, "obj", value))

"""Versions that are compared can be asked the same, each in the playground that it has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse

from federation.modelling.questions import Question
from hub.catalogue.models import ModelVersion
from hub.catalogue.playground import asking as playground
from tests.agent import tiny
from tests.factories.catalogue import VersionFactory
from tests.hub.catalogue.asking import PROMPT, forget_everything, lead_of, messages, tried, work
from tests.pages import browser, words


@pytest.fixture
def version(db: None, tmp_path: Path) -> Iterator[ModelVersion]:
    forget_everything()
    messages()
    base = tiny.make_base(tmp_path / "base")
    yield tried(base, tiny.make_adapter(base, tmp_path / "adapter.safetensors"))
    forget_everything()
    messages()


def page_of(version: ModelVersion) -> str:
    return reverse("catalogue:try", args=[version.pk])


def ask(version: ModelVersion) -> object:
    question = Question(text=PROMPT)
    return playground.ask(user=lead_of(version), version_id=version.pk, question=question)


def test_versions_that_are_compared_are_asked_the_same(version: ModelVersion) -> None:
    other = VersionFactory(
        federation=version.federation,
        adapter=version.adapter,
        plan=version.plan,
        plan_digest=version.plan_digest,
        rank=version.rank,
    )
    client = browser(lead_of(version))
    compare = reverse("runs:compare_versions", args=[version.federation.slug])
    page = client.get(compare, {"v": [version.number, other.number]})
    assert "Ask them the same" in words(page)
    for one in (version, other):
        url = f"{page_of(one)}?beside"
        assert f'hx-post="{url}"' in page.content.decode()
        pk = ask(one)
        work()
        found = client.get(f"{page_of(one)}/{pk}?beside", headers={"HX-Request": "true"})
        assert f'id="beside-{one.pk}"' in found.content.decode()
        assert f"Version {one.number}" in words(found)
        assert "sea" in words(found)
        assert "the base" not in words(found)


def test_versions_that_are_asked_otherwise_are_not_asked_together(version: ModelVersion) -> None:
    other = VersionFactory(federation=version.federation)  # goes on where a text ends
    compare = reverse("runs:compare_versions", args=[version.federation.slug])
    page = browser(lead_of(version)).get(compare, {"v": [version.number, other.number]})
    assert "Ask them the same" not in words(page)

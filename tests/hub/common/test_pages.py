from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

import hub
from hub.common import handbook
from hub.common.api.problems import CODES, TITLES
from hub.common.errors import DomainError
from tests.factories.accounts import UserFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

ROOT = settings.ROOT
RAISED = {
    "LayoutRefused",
    "SignatureRefused",
    "TaskFailed",
    "DataRefused",
    "ModellingRefused",
    "ProbeRefused",
    "Unmeasured",
}
PROBLEM = re.compile(r'Problem\(\s*\d+,\s*"(\w+)"')
FAILURE = re.compile(r'\b(?:fail_run|_give_up|end_round)\([^)]*?code="(\w+)"', re.DOTALL)


def sources() -> Iterator[Path]:
    for folder in ("platform", "workers"):
        yield from (ROOT / folder).rglob("*.py")


def domain_codes() -> set[str]:
    for found in pkgutil.walk_packages(hub.__path__, "hub."):
        if found.name.endswith((".errors", ".text", ".repositories", ".visitors")):
            importlib.import_module(found.name)
    classes, codes = [DomainError], set()
    while classes:
        refusal = classes.pop()
        codes.add(refusal.code)
        classes += refusal.__subclasses__()
    return codes


def raised_codes() -> set[str]:
    """The first argument of refusals whose code is said where they are raised."""
    codes = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED and node.args:
                first = node.args[0]
                codes |= {first.value} if isinstance(first, ast.Constant) else set()
    return codes


def framework_codes() -> set[str]:
    text = "".join(path.read_text() for path in sources())
    of_requests = {"method_not_allowed", "not_acceptable", "unsupported_media_type", "throttled"}
    of_runs = set(FAILURE.findall(text))
    return set(TITLES) | set(CODES.values()) | set(PROBLEM.findall(text)) | of_runs | of_requests


@pytest.mark.parametrize("codes", [domain_codes, raised_codes, framework_codes])
def test_every_code_has_a_section(codes):
    found = codes()
    assert len(found) > 15
    assert found - {part.anchor for part in handbook.read("problems.md").sections} == set()


def test_no_two_sections_have_one_anchor():
    anchors = [part.anchor for part in handbook.read("problems.md").parts]
    assert len(anchors) == len(set(anchors))


def test_a_section_is_found_by_its_code():
    response = browser().get("/docs/problems")
    assert '<h3 id="lease_lost">' in response.content.decode()
    assert "What went wrong, and what to do" in words(response)


def test_the_handbook_takes_no_markup(tmp_path, monkeypatch):
    monkeypatch.setattr(handbook, "FOLDER", tmp_path)
    (tmp_path / "odd.md").write_text(
        "# Odd\n\n<script>alert(1)</script> [x](javascript:alert(1))\n"
    )
    html = handbook.read("odd.md").html
    assert "<script" not in html
    assert "href" not in html


def test_the_style_guide_is_for_those_who_build():
    assert browser().get("/styleguide").status_code == 404
    assert browser(UserFactory()).get("/styleguide").status_code == 404
    assert "Refused" in words(browser(UserFactory(is_staff=True)).get("/styleguide"))


def test_every_page_keeps_the_policy():
    policy = browser().get("/docs/problems").headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy

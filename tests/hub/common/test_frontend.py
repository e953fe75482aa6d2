"""What every template and the stylesheet keep: strict CSP, drawings that exist, contrast."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hub.common.templatetags import foedus

FRONTEND = Path(__file__).parents[3] / "frontend"
TEMPLATES = sorted((FRONTEND / "templates").rglob("*.html"))
COMPONENTS = sorted((FRONTEND / "templates" / "cotton").glob("*.html"))
STYLESHEET = (FRONTEND / "static" / "css" / "foedus.css").read_text()
DRAWINGS = set(
    re.findall(r'symbol id="(\w+)"', (FRONTEND / "static" / "img" / "icons.svg").read_text())
)
COMMENT = re.compile(r"{% comment %}.*?{% endcomment %}", re.DOTALL)
STYLE = "an inline style"
INLINE = {
    STYLE: re.compile(r"<style[\s>]|<[a-z][^>]*\sstyle=", re.IGNORECASE),
    "an event handler": re.compile(r"<[a-z][^>]*\son[a-z]+=", re.IGNORECASE),
    "htmx code": re.compile(r"hx-on"),
    "a foreign address": re.compile(r"(?:src|href)=[\"'](?:https?:)?//"),
}
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>", re.IGNORECASE)


def name_of(path: Path) -> str:
    return str(path.relative_to(FRONTEND))


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_a_template_has_no_inline_code(path):
    text = COMMENT.sub("", path.read_text())
    allowed = {STYLE} if "console" in path.parts else set()  # its policy lets styles through
    assert {what for what, pattern in INLINE.items() if pattern.search(text)} <= allowed
    for script in SCRIPT.finditer(text):
        attributes = script["attributes"]
        assert "src=" in attributes or "application/json" in attributes


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_a_template_shows_only_drawings_that_exist(path):
    text = COMMENT.sub("", path.read_text())
    named = re.findall(r'<c-[\w-]+[^>]*\sicon="(\w+)"', text)
    named += re.findall(r'<c-icon[^>]*name="(\w+)"', text)
    assert set(named) <= DRAWINGS


def test_every_state_has_a_drawing():
    assert {icon for _, icon in foedus.STATES.values()} <= DRAWINGS


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_a_component_documents_its_inputs(path):
    comment, _, rest = path.read_text().partition("{% endcomment %}")
    declared = re.search(r"<c-vars(.*?)/>", rest, re.DOTALL)
    inputs = re.sub(r'"[^"]*"', "", declared[1]) if declared else ""
    names = re.findall(r"[\w-]+", inputs)
    assert comment.startswith("{% comment %}")
    assert [name for name in names if name not in comment and name != "class"] == []


@pytest.mark.parametrize("path", COMPONENTS, ids=name_of)
def test_a_component_is_in_the_documentation(path):
    tag = f"c-{path.stem.replace('_', '-')}"
    assert f"`{tag}`" in (FRONTEND.parent / "docs" / "design-system.md").read_text()


def colours(theme: int) -> dict[str, str]:
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", STYLESHEET)
    return {name: (light, dark)[theme] for name, light, dark in pairs}


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


TONES = ("positive", "active", "waiting", "attention", "negative", "neutral")
TEXT = [
    *((ink, ground) for ink in ("ink", "ink-soft") for ground in ("paper", "surface", "sunken")),
    *(
        (ink, ground)
        for ink in ("ink-faint", "accent", "danger")
        for ground in ("paper", "surface")
    ),
    *((tone, f"{tone}-soft") for tone in TONES),
    *((tone, "surface") for tone in TONES),
    *(("on-hue", f"hue-{hue}") for hue in range(foedus.HUES)),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-danger", "danger"),
    ("on-danger", "danger-strong"),
    ("accent-strong", "accent-soft"),
]
SHAPES = [
    *((f"hue-{hue}", "surface") for hue in range(foedus.HUES)),
    ("line-strong", "surface"),
    ("line-strong", "raised"),
    ("focus", "paper"),
    ("focus", "surface"),
]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("pairs", "least"), [(TEXT, 4.5), (SHAPES, 3.0)], ids=["text", "shapes"])
def test_colours_stand_out_as_wcag_asks(theme, pairs, least):
    known = colours(theme)
    weak = {pair: contrast(known[pair[0]], known[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in weak.items() if ratio < least} == {}

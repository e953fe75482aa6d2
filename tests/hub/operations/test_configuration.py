"""The settings, their page and the example file name the same things."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SETTINGS = ROOT / "platform" / "hub" / "settings.py"
PAGE = (ROOT / "docs" / "configuration.md").read_text()
EXAMPLE = (ROOT / "docker" / ".env.example").read_text()
ROW = re.compile(r"^\| `([A-Z_0-9]+)` \| (.*?) \| (.*?) \|$", re.MULTILINE)


def read_by_settings() -> dict[str, ast.expr | None]:
    """Names that `env.…("NAME", default=…)` asks for, with their defaults."""
    found = {}
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "env":
            default = next((k.value for k in node.keywords if k.arg == "default"), None)
            found[node.args[0].value] = default  # type: ignore[attr-defined]
    return found


def rows(text: str) -> dict[str, str]:
    """Names in the first column, with what the second says of their default."""
    return {name: default for name, default, _ in ROW.findall(text)}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_page_has_a_row_for_each_setting_and_no_other() -> None:
    assert set(rows(section("Settings"))) == set(read_by_settings())


def test_the_example_has_a_line_for_each_setting_and_nothing_undocumented() -> None:
    named = set(re.findall(r"^#?([A-Z_0-9]+)=", EXAMPLE, re.MULTILINE))
    assert set(read_by_settings()) <= named
    assert named <= set(rows(PAGE))


def test_the_page_says_the_defaults_that_hold() -> None:
    told = rows(section("Settings"))
    for name, default in read_by_settings().items():
        if default is None:
            assert told[name] in {"none", "embedded"}, name
        elif isinstance(default, ast.Constant) and isinstance(default.value, bool):
            assert told[name] == ("`yes`" if default.value else "`no`"), name
        elif isinstance(default, ast.Constant | ast.BinOp) and not names_in(default):
            value = eval(compile(ast.Expression(default), name, "eval"))
            assert told[name] in {f"`{value}`", "empty", "empty: Amazon"}, name


def names_in(expression: ast.expr) -> list[ast.Name]:
    return [node for node in ast.walk(expression) if isinstance(node, ast.Name)]


def test_the_guide_knows_every_way_to_be_stuck_and_every_figure() -> None:
    from hub.operations.metrics import STATES
    from hub.operations.troubles import TROUBLES

    guide = (ROOT / "docs" / "operating.md").read_text()
    for trouble in TROUBLES:
        assert f"{trouble.title} (`{trouble.name}`)" in guide
    for model, _ in STATES:
        assert f"foedus_{model._meta.model_name}s{{state}}" in guide

"""The tables of docs/aggregation.md, made from the registries.

`python -m tests.federation.tables`, with the source roots on the path, writes them into the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from federation.breakdown import COMBINATIONS
from federation.combinations import combinations
from federation.compatibility import MATRIX, UNDER_SECURE_AGGREGATION, Feature
from federation.registry import configured
from federation.rules import rules
from federation.strategies import strategies

PAGE = Path(__file__).parents[2] / "docs" / "aggregation.md"
LIARS = (1, 2, 3)


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def about(kind: Callable[..., object]) -> str:
    """The first sentence of its docstring, without the paper."""
    text = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r"[:,]? \(?[A-Z][^(:]* (et al\. )?\d{4},.*$", "", text).rstrip(".")


def matrix() -> str:
    names = [*(name for name in MATRIX if name in strategies), UNDER_SECURE_AGGREGATION]
    rows = ([f"`{name}`", *map(str, MATRIX[name].values())] for name in names)
    return table(["strategy", *Feature], rows)


def _fewest(fewest: Callable[[int], int]) -> list[str]:
    return [str(fewest(liars)) for liars in LIARS]


def guards() -> str:
    def rows() -> Iterator[Sequence[str]]:
        for name, rule in sorted(rules.items()):
            if not configured(rules, name).needs_evidence:
                continue
            fewest = _fewest(lambda f, name=name: configured(rules, name, liars=f).fewest())
            yield [f"rule `{name}`", about(rule), *fewest, "one pass for inner products"]
        for name, combination in sorted(combinations.items()):
            if COMBINATIONS[name].each:
                fewest = _fewest(COMBINATIONS[name].fewest)
                passes = "all changes of a piece side by side"
                yield [f"combination `{name}`", about(combination), *fewest, passes]

    return table(["", "takes", "1 liar", "2 liars", "3 liars", "costs besides"], rows())


TABLES: Mapping[str, Callable[[], str]] = {"matrix": matrix, "guards": guards}


def marked(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- table: {name} -->\n\n).*?(?=\n<!-- end -->)", re.DOTALL)


if __name__ == "__main__":
    text = PAGE.read_text()
    for name, make in TABLES.items():
        text = marked(name).sub(lambda _, make=make: make(), text)
    PAGE.write_text(text)

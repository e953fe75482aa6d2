"""docs/aggregation.md says what the registries hold."""

from __future__ import annotations

import pytest

from federation.combinations import combinations
from federation.rules import rules
from federation.strategies import strategies
from tests.federation.tables import PAGE, TABLES, marked


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_of_the_page_is_what_is_registered(name):
    """`python -m tests.federation.tables` writes it anew."""
    found = marked(name).search(PAGE.read_text())
    assert found is not None
    assert found[0] == TABLES[name]()


def test_the_page_speaks_of_every_method():
    text = PAGE.read_text()
    assert [name for name in (*rules, *combinations, *strategies) if name not in text] == []

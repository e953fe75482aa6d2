from __future__ import annotations

import pytest

from federation.registry import Registry, UnknownName


def spoons() -> Registry[type]:
    registry: Registry[type] = Registry("spoon")
    registry.register("wooden")(int)
    registry.register("silver")(str)
    return registry


def test_a_registry_is_a_mapping_of_its_names():
    registry = spoons()
    assert registry["wooden"] is int
    assert sorted(registry) == ["silver", "wooden"]
    assert len(registry) == 2
    assert "golden" not in registry


def test_a_decorated_thing_stays_what_it_was():
    registry: Registry[type] = Registry("spoon")

    @registry.register("own")
    class Own: ...

    assert registry["own"] is Own


def test_a_name_taken_twice_is_refused():
    with pytest.raises(ValueError, match="spoon 'silver' is already registered"):
        spoons().register("silver")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UnknownName, match="unknown spoon 'golden'; known: silver, wooden"):
        spoons()["golden"]

"""Queries written once give what the ORM would have given."""

from __future__ import annotations

import pytest
from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from hub.common.asked import Asked
from hub.organisations.models import Agent, AgentKey, Organisation
from hub.organisations.selectors import agent_key
from tests.factories.organisations import AgentFactory

pytestmark = pytest.mark.django_db


def test_a_key_comes_with_its_agent_and_organisation_in_one_statement() -> None:
    for number in range(2):
        agent = AgentFactory(federations=["one", "two"], policy={"closed": [number]})
        with CaptureQueriesContext(connection) as asked:
            found = agent_key(agent.key_id)
            assert found is not None
            rows = found, found.agent, found.agent.organisation
        assert len(asked) == 1
        slow = AgentKey.objects.get(key_id=agent.key_id)
        for row, same in zip(rows, (slow, slow.agent, slow.agent.organisation), strict=True):
            assert row == same
            assert model_to_dict(row) == model_to_dict(same)
            assert not row._state.adding
    assert agent_key("0" * 64) is None


def test_a_blank_that_is_nowhere_in_the_query_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not in the query"):
        Asked(Agent.objects.filter(name="a"), name="a", other="b")


def test_what_is_no_blank_stays_as_it_was_written() -> None:
    one = AgentFactory(name="one")
    theirs = Agent.objects.filter(name="?", organisation__state=one.organisation.state)
    asked = Asked(theirs.values_list("pk"), name="?")
    assert asked.first(name="one") == (one.pk,)
    Organisation.objects.update(state="suspended")
    assert asked.first(name="one") is None

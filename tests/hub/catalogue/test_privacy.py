"""What is said of privacy is what was so, and no more."""

from __future__ import annotations

import pytest

from hub.catalogue.cards.privacy import privacy_statement
from tests.factories.runs import PLAN

PROMISES = (
    "anonym",
    "cannot leak",
    "gdpr",
    "guarantee",
    "secure ",
    "safe",
    "ε",
    "epsilon",
    "private",
)


@pytest.mark.parametrize("codec", ["fp32", "int8"])
def test_the_statement_says_what_the_hub_saw_and_promises_nothing(codec):
    plan = PLAN.model_copy(update={"transfer": PLAN.transfer.model_copy(update={"codec": codec})})
    said = privacy_statement(plan)
    text = " ".join(said).lower()
    assert "received every organisation's update in clear" in text
    assert "secure aggregation was not used" in text
    assert "differential privacy was not used" in text
    for promise in PROMISES:
        assert promise not in text.replace("secure aggregation was not used", ""), promise
    assert any("which hides nothing" in one for one in said) == (codec != "fp32")

"""The cases of RELIABILITY 5.3 to 5.5 and the threats T14 to T22, T38 and T39: which test keeps each.

A row names the test; below are those that nothing else keeps. A case without a row, or a row whose
test is gone, fails.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import Client
from pydantic import ValidationError

from federation.protocol import Metrics
from tests.conftest import Person
from tests.factories.accounts import PASSWORD
from tests.pages import browser

TESTS = Path(__file__).parents[1]
SIGNATURES, SIGNED = "federation/test_signatures.py", "api/test_signed_agents.py"
ENROLMENT, JSON, LISTS = "api/test_enrolment.py", "api/test_json.py", "api/test_lists.py"
MATRIX, HERE = "api/test_matrix.py", "api/test_corpus.py"
CHANGED = f"{SIGNATURES}::test_a_changed_request_is_refused"
FOREIGN = f"{MATRIX}::test_what_is_another_tenants_is_as_if_it_were_not_there"
MEMBERS = f"{MATRIX}::test_a_member_does_what_role_and_place_carry"
NOT_JSON = f"{JSON}::test_the_api_answers_400_and_stores_nothing"

CASES: dict[int | str, str] = {
    97: f"{SIGNED}::test_without_a_signature_nobody_is_an_agent",
    98: f"{SIGNED}::test_a_clock_that_is_wrong_is_told_the_time",
    99: f"{SIGNED}::test_a_captured_request_opens_nothing",
    100: f"{SIGNED}::test_another_body_is_refused_and_spends_no_nonce",
    101: CHANGED,
    102: f"{SIGNED}::test_a_key_that_nobody_enrolled",
    103: f"{SIGNATURES}::test_only_well_formed_key_ids_are_looked_up",
    104: CHANGED,
    105: CHANGED,
    106: f"{SIGNED}::test_a_revoked_key_is_refused_at_the_next_request",
    107: "hub/organisations/test_keys.py::test_both_keys_are_good_for_a_day",
    108: f"{ENROLMENT}::test_a_code_is_spent",
    109: f"{ENROLMENT}::test_what_is_wrong_has_its_code",
    110: f"{ENROLMENT}::test_what_is_wrong_has_its_code",
    111: "hub/organisations/test_enrolment.py::test_a_key_of_small_order_is_nobodys",
    112: "hub/organisations/test_enrolment.py::test_another_ones_key_needs_their_signature",
    113: f"{HERE}::test_a_new_password_ends_the_other_sessions",
    114: "api/test_browser_session.py::test_a_session_without_the_csrf_token_may_not",
    115: "api/test_tokens.py::test_forty_wrong_passwords_are_too_many",
    116: "hub/accounts/test_signing_in.py::test_a_password_of_a_megabyte_is_refused_fast",
    117: "hub/accounts/test_signing_in.py::test_what_is_wrong_makes_no_account",
    118: NOT_JSON,
    119: NOT_JSON,
    120: NOT_JSON,
    121: NOT_JSON,
    122: "api/test_problems.py::test_a_body_above_a_mebibyte",
    123: f"{HERE}::test_a_hundred_thousand_keys_are_too_many",
    124: NOT_JSON,
    125: "api/test_problems.py::test_a_body_of_another_type",
    126: "api/test_problems.py::test_a_body_of_another_type",
    127: f"{JSON}::test_a_value_of_another_type_is_no_value",
    128: f"{JSON}::test_an_integer_is_an_integer",
    129: f"{JSON}::test_a_name_that_deceives_is_refused",
    130: f"{JSON}::test_what_only_looks_dangerous_is_stored_as_it_is",
    131: f"{JSON}::test_a_field_that_does_not_exist_is_an_error",
    132: f"{LISTS}::test_a_parameter_that_does_not_exist_is_an_error",
    133: f"{HERE}::test_metrics_are_few_and_flat",
    134: "api/test_idempotency.py::test_what_creates_needs_a_key",
    135: "api/test_idempotency.py::test_the_same_key_for_something_else_is_refused",
    136: "api/test_idempotency.py::test_twenty_at_once_with_one_key_make_one_row",
    137: FOREIGN,
    138: f"{LISTS}::test_an_identifier_that_is_none_names_nothing",
    139: f"{LISTS}::test_a_page_has_between_one_and_a_hundred_rows",
    140: f"{LISTS}::test_a_page_has_between_one_and_a_hundred_rows",
    141: f"{LISTS}::test_an_order_that_does_not_exist_is_an_error",
    142: f"{LISTS}::test_a_parameter_that_does_not_exist_is_an_error",
    143: f"{HERE}::test_five_thousand_parameters_are_too_many",
    144: MEMBERS,
    145: "api/test_access.py::test_who_was_removed_a_second_ago_sees_nothing",
    146: "api/test_access.py::test_a_nested_address_under_a_foreign_parent_is_absent",
    147: "api/test_links.py::test_a_large_artifact_is_linked_for_minutes_and_a_small_one_sent",
    "T14": FOREIGN,
    "T15": MEMBERS,
    "T16": f"{SIGNED}::test_a_revoked_key_is_refused_at_the_next_request",
    "T17": f"{SIGNATURES}::test_there_are_more_changes_than_the_threat_model_asks_for",
    "T18": f"{ENROLMENT}::test_ten_guesses_an_hour_from_one_address",
    "T19": "hub/organisations/test_enrolment.py::test_a_key_of_small_order_is_nobodys",
    "T20": "api/test_tokens.py::test_known_and_unknown_addresses_take_the_same_time",
    "T21": f"{HERE}::test_what_people_write_is_text_on_every_page",
    "T22": "hub/notices/test_addresses.py::test_what_is_not_public_is_refused",
    "T38": "hub/operations/test_acts.py::test_a_dangerous_act_asks_for_the_password_again",
    "T39": f"{HERE}::test_an_export_is_its_readers",
}


def test_every_case_has_its_test() -> None:
    threats = {f"T{n}" for n in (*range(14, 23), 38, 39)}
    assert set(CASES) == set(range(97, 148)) | threats


@pytest.mark.parametrize("case", CASES)
def test_the_test_of_a_case_is_there(case: int | str) -> None:
    path, _, name = CASES[case].partition("::")
    assert re.search(rf"^def {name}\(", (TESTS / path).read_text(), re.MULTILINE), CASES[case]


@pytest.mark.django_db
def test_a_new_password_ends_the_other_sessions(ada: Person) -> None:
    stolen = browser(ada.user)
    assert stolen.get("/account/").status_code == 200
    ada.user.set_password(f"{PASSWORD}-another")
    ada.user.save(update_fields=["password"])
    assert stolen.get("/account/")["Location"].startswith("/accounts/login/")
    assert stolen.get("/api/v1/me").status_code == 401


@pytest.mark.django_db
def test_a_hundred_thousand_keys_are_too_many(ada: Person) -> None:
    body = {f"key {n}": 1 for n in range(100_000)}
    answer = ada.api.post("/api/v1/organisations", body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("metrics", [{f"m{n}": 1.0 for n in range(10_000)}, {"loss": {"a": 1.0}}])
def test_metrics_are_few_and_flat(metrics: dict[str, object]) -> None:
    from pydantic import TypeAdapter

    with pytest.raises(ValidationError):
        TypeAdapter(Metrics).validate_python(metrics)


@pytest.mark.django_db
def test_five_thousand_parameters_are_too_many(ada: Person) -> None:
    short = "&".join("a=" for _ in range(1500))
    assert ada.api.get(f"/api/v1/agents?{short}").status_code == 400
    asked = "&".join(f"a{n}=1" for n in range(5000))
    assert ada.api.get(f"/api/v1/agents?{asked}").status_code == 414


PROBES = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "=1+1"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", PROBES)
def test_what_people_write_is_text_on_every_page(ada: Person, federation, name: str) -> None:
    ada.user.name = ada.organisation.name = federation.name = federation.purpose = name
    for row in (ada.user, ada.organisation, federation):
        row.save()
    federation.record("described", actor=ada.user.actor, data={"federation": name}, reason=name)
    client = browser(ada.user)
    pages = ["/", "/account/", "/organisations/", "/federations/", "/audit/", "/runs/", "/agents/"]
    pages += [f"/organisations/{ada.organisation.slug}", f"/federations/{federation.slug}"]
    for address in pages:
        answer = client.get(address)
        assert answer.status_code == 200, address
        page = answer.content.decode()
        assert "<script>alert" not in page, address
        assert "<img src=x" not in page, address
        assert "unsafe" not in answer["Content-Security-Policy"], address


@pytest.mark.django_db
def test_an_export_is_its_readers(ada: Person, carol: Person, federation) -> None:
    """There is no link that opens by itself: who asks is asked who they are, each time."""
    address = f"/api/v1/federations/{federation.pk}/ledger/export"
    assert ada.api.get(address).status_code == 200
    assert carol.api.get(address).status_code == 404
    assert Client().get(address).status_code == 401
    mine = f"/audit/?federation={federation.slug}"
    assert federation.name not in browser(carol.user).get(mine).content.decode()
    assert Client().get("/audit/export.csv").status_code == 302

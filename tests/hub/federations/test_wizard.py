from __future__ import annotations

import pytest
from django.test import Client

from hub.catalogue.models import BaseModel
from hub.federations.models import Federation
from hub.federations.policies import Policy
from hub.organisations.models import Organisation
from tests.conftest import Person
from tests.factories.catalogue import BaseModelFactory
from tests.pages import browser, once, words

pytestmark = pytest.mark.django_db

NEW, MOST_QUERIES = "/federations/new", 10
STEPS = ("", "/base", "/charter", "/policy")
POLICY = {
    "join": "request",
    "is_listed": "on",
    "minimum_participants": 2,
    "largest_update_megabytes": 64,
    "quorum_percent": 50,
    "majority": "two_thirds",
    "days": 7,
    "period_days": 90,
    "led": ["admit"],
}


@pytest.fixture
def base(db: None) -> BaseModel:
    return BaseModelFactory(name="MiniLM", licence="Apache-2.0", parameters=22_713_216)


def sent(person: Person, base: BaseModel, **changes: object) -> dict[str, dict[str, object]]:
    """By step, what a person enters."""
    entered = {
        "": {
            "organisation": person.organisation.pk,
            "name": "Support tickets",
            "purpose": "Sorts the tickets of all of us.",
        },
        "/base": {"base_model": base.pk},
        "/charter": {"charter": "1. Nobody's data leaves its owner.\r\n\r\n2. Peace."},
        "/policy": {**POLICY},
    }
    for step in entered.values():
        step.update({name: changes[name] for name in step.keys() & changes.keys()})
    return entered


def walk(client: Client, entered: dict[str, dict[str, object]]) -> str:
    """Through all steps; where the last leads."""
    to = NEW
    for step, data in entered.items():
        to = client.post(NEW + step, data).headers.get("Location", NEW + step)
    return to


def seal(client: Client) -> dict[str, object]:
    return {"once": once(client.get(f"{NEW}/review")), "agree": "on"}


def test_the_steps_lead_to_the_federation(ada: Person, base: BaseModel):
    client = browser(ada.user)
    assert walk(client, sent(ada, base)) == f"{NEW}/review"
    told = words(client.get(f"{NEW}/review"))
    assert "Led by Ada Institute" in told
    assert "At least 2 train in every run" in told
    assert "1. Nobody's data leaves its owner. 2. Peace." in told
    done = client.post(f"{NEW}/review", seal(client))
    assert done.headers["Location"] == "/federations/support-tickets"
    made = Federation.objects.get()
    assert made.typed_policy == Policy(
        minimum_participants=2,
        may_attribute=False,
        voting={"quorum": 0.5, "majority": "two_thirds", "days": 7},
        led=("admit",),
    )
    assert (made.largest_update_bytes, made.is_listed) == (64 * 2**20, True)
    assert made.participations.get().signatures.get().signed_by == ada.user
    told = words(client.get("/federations/support-tickets"))
    assert "Led by Ada Institute" in told
    assert "MiniLM Its licence Apache-2.0" in told


def test_a_double_click_founds_once(ada: Person, base: BaseModel):
    client = browser(ada.user)
    walk(client, sent(ada, base))
    form = seal(client)
    places = [client.post(f"{NEW}/review", form).headers["Location"] for _ in range(2)]
    assert places == ["/federations/support-tickets"] * 2
    assert Federation.objects.count() == 1


def test_going_back_keeps_what_was_entered(ada: Person, base: BaseModel):
    client = browser(ada.user)
    entered = sent(ada, base)
    client.post(NEW, entered[""])
    client.post(f"{NEW}/base", entered["/base"])
    half = {"charter": "Half a sent", "back": "1"}
    assert client.post(f"{NEW}/charter", half).headers["Location"] == f"{NEW}/base"
    assert "Half a sent" in client.get(f"{NEW}/charter").content.decode()
    assert 'value="Support tickets"' in client.get(NEW).content.decode()
    chosen = f'value="{base.pk}" required id="id_base_model_0" checked'
    assert chosen in client.get(f"{NEW}/base").content.decode()
    wrong = {**POLICY, "days": 700, "led": ["expel"]}
    assert "Days until a vote closes" in words(client.post(f"{NEW}/policy", wrong))
    left = client.get(f"{NEW}/policy").content.decode()
    assert 'value="700"' in left


def test_nobody_signs_before_all_steps_are_done(ada: Person, base: BaseModel):
    client = browser(ada.user)
    assert client.get(f"{NEW}/review").headers["Location"] == NEW
    entered = sent(ada, base)
    client.post(NEW, entered[""])
    client.post(f"{NEW}/policy", entered["/policy"])
    assert client.get(f"{NEW}/review").headers["Location"] == f"{NEW}/base"
    client.post(f"{NEW}/review", {"agree": "on"})
    assert not Federation.objects.exists()


def test_the_licence_is_accepted_in_the_step(ada: Person):
    gated = BaseModelFactory(
        name="Gated", licence="Gated-1", licence_text="Do good.", must_accept=True
    )
    client = browser(ada.user)
    entered = sent(ada, gated)
    client.post(NEW, entered[""])
    assert "Do good." in words(client.get(f"{NEW}/base"))
    refused = words(client.post(f"{NEW}/base", entered["/base"]))
    assert "Gated-1 has to be accepted to use Gated." in refused
    entered["/base"]["accept"] = "on"
    walk(client, entered)
    client.post(f"{NEW}/review", seal(client))
    assert gated.acceptances.get().licence_digest == gated.licence_digest


def test_the_charter_begins_with_a_template_and_is_compared_with_it(ada: Person, base: BaseModel):
    client = browser(ada.user)
    told = words(client.get(f"{NEW}/charter"))
    assert "1. Purpose The parties fine-tune one model together" in told
    text = client.get(f"{NEW}/charter").context["form"]["charter"].value()
    changed = text.replace("7. Leaving", "7. Leaving us")
    compared = words(client.post(f"{NEW}/charter", {"charter": changed, "preview": "1"}))
    assert "Removed: 7. Leaving Added: 7. Leaving us" in compared
    same = words(client.post(f"{NEW}/charter", {"charter": text, "preview": "1"}))
    assert "Nothing: these are the template's words." in same


def test_what_is_missing_is_said_beside_its_field(ada: Person, base: BaseModel):
    client = browser(ada.user)
    entered = sent(ada, base, name="", base_model="", charter=" ", days="")
    for step, name in zip(STEPS, ("Name", "Base model", "Charter", "Days"), strict=True):
        told = words(client.post(NEW + step, entered[step]))
        assert name in told
        assert "This field is required." in told


def test_only_owners_of_approved_organisations_found(ada: Person, carol: Person, base: BaseModel):
    Organisation.objects.filter(pk=carol.organisation.pk).update(state="pending")
    told = words(browser(carol.user).get(NEW))
    assert "Federations are founded by owners" in told
    client = browser(ada.user)
    entered = sent(ada, base, organisation=carol.organisation.pk)
    assert "Select a valid choice" in words(client.post(NEW, entered[""]))


def test_a_federation_called_new_has_its_own_address(ada: Person, base: BaseModel):
    client = browser(ada.user)
    walk(client, sent(ada, base, name="New"))
    done = client.post(f"{NEW}/review", seal(client))
    assert done.headers["Location"] == "/federations/new-2"


def test_there_are_no_other_steps(ada: Person):
    assert browser(ada.user).get(f"{NEW}/elsewhere").status_code == 404


def test_every_step_needs_few_queries(ada: Person, base: BaseModel, django_assert_max_num_queries):
    BaseModelFactory.create_batch(5, must_accept=True, licence_text="Do good.")
    client = browser(ada.user)
    walk(client, sent(ada, base))
    for step in (*STEPS, "/review"):
        with django_assert_max_num_queries(MOST_QUERIES):
            assert client.get(NEW + step).status_code == 200

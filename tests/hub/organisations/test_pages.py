from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from federation.signatures import generate_private_key
from hub.common.errors import Forbidden
from hub.federations import services as federations
from hub.federations.models import Federation
from hub.organisations import services
from hub.organisations.models import Agent, EnrolmentCode, Organisation, Role
from hub.organisations.permissions import ROLES, Permission
from hub.organisations.selectors import sightings
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.federations import ParticipationFactory
from tests.factories.organisations import AgentFactory, MembershipFactory, OrganisationFactory
from tests.factories.runs import TaskFactory
from tests.hub.organisations.test_enrolment import message
from tests.pages import browser, once, words

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10
REGISTER = "/organisations/register"


@pytest.fixture
def scientist(ada: Person) -> Person:
    place = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST)
    return Person(place.user, ada.organisation, ada.api)


@pytest.fixture
def agent(ada: Person) -> Agent:
    return AgentFactory(
        organisation=ada.organisation,
        name="ward-1",
        last_seen_at=timezone.now(),
        version="0.1.0",
        device="NVIDIA L4",
        federations=["nordic-hospitals"],
    )


def of(person: Person) -> str:
    return f"/organisations/{person.organisation.slug}"


# ---------------------------------------------------------------- organisations


def test_registering_leads_to_the_organisation_that_waits():
    client = browser(UserFactory(name="Niels", email="niels@example.org"))
    sent = {"name": "Niels Bank", "once": once(client.get(REGISTER))}
    response = client.post(REGISTER, sent)
    assert response.headers["Location"] == "/organisations/niels-bank"
    told = words(client.get("/organisations/niels-bank"))
    assert "Niels Bank awaiting approval" in told
    assert "Contact niels@example.org" in told
    assert "Niels registered Niels Bank." in told


def test_a_double_click_registers_once():
    client = browser(UserFactory())
    sent = {"name": "Niels Bank", "once": once(client.get(REGISTER))}
    places = [client.post(REGISTER, sent).headers["Location"] for _ in range(2)]
    assert places == ["/organisations/niels-bank"] * 2
    assert Organisation.objects.count() == 1


def test_a_form_changed_after_it_was_sent_is_no_repetition():
    client = browser(UserFactory())
    key = once(client.get(REGISTER))
    client.post(REGISTER, {"name": "Niels Bank", "once": key})
    response = client.post(REGISTER, {"name": "Niels Bakery", "once": key})
    assert response.headers["Location"] == "/organisations/niels-bakery"
    assert Organisation.objects.count() == 2


def test_a_refusal_stands_beside_what_was_typed(ada: Person):
    response = browser(UserFactory()).post(REGISTER, {"name": "Ada Institute"})
    assert "Another organisation has this name." in words(response)
    assert 'value="Ada Institute"' in response.content.decode()
    response = browser(UserFactory()).post(REGISTER, {"name": "Аda Institute"})
    assert "Name : A word mixes letters of different alphabets." in words(response)


def test_an_organisation_is_for_its_people_and_operators(
    ada: Person, blaise: Person, scientist: Person, operator: Person
):
    statuses = [
        browser(person.user).get(of(ada)).status_code
        for person in (ada, scientist, operator, blaise)
    ]
    assert statuses == [200, 200, 200, 404]
    assert browser().get(of(ada)).headers["Location"].startswith("/accounts/login/")


def test_people_are_given_another_role_and_removed(ada: Person):
    other = MembershipFactory(organisation=ada.organisation, user__name="Emmy", role="auditor").user
    client = browser(ada.user)
    for role in ("scientist", "owner"):
        url = f"{of(ada)}/people/{other.pk}/role"
        told = words(client.post(url, {"role": role}, follow=True))
        assert f"Emmy is {role} now." in told
    told = words(client.post(f"{of(ada)}/people/{other.pk}/role", {"role": "king"}, follow=True))
    assert "Select a valid choice" in told
    told = words(client.post(f"{of(ada)}/people/{other.pk}/remove", follow=True))
    assert "Removed." in told
    assert "Ada removed Emmy" in words(client.get(of(ada)))
    assert other.memberships.count() == 0


def test_removing_twice_is_absent_not_an_error(ada: Person):
    place = MembershipFactory(organisation=ada.organisation)
    url = f"{of(ada)}/people/{place.user_id}/remove"
    assert [browser(ada.user).post(url).status_code for _ in range(2)] == [302, 404]


def test_who_leaves_goes_to_what_is_left(scientist: Person):
    response = browser(scientist.user).post(f"{of(scientist)}/people/{scientist.user.pk}/remove")
    assert response.headers["Location"] == "/organisations/"


def test_the_last_owner_is_told_to_make_another(ada: Person):
    url = f"{of(ada)}/people/{ada.user.pk}/remove"
    told = words(browser(ada.user).post(url, follow=True))
    assert "An organisation keeps at least one owner. Make somebody else an owner first." in told
    assert "Ada (you)" in told


def test_scientists_decide_nothing(ada: Person, scientist: Person, agent: Agent):
    client = browser(scientist.user)
    refused = (
        (f"{of(ada)}/people", {"email": "emmy@example.org", "role": "owner"}),
        (f"{of(ada)}/people/{ada.user.pk}/remove", {}),
        (f"{of(ada)}/people/{ada.user.pk}/role", {"role": "owner"}),
        (f"{of(ada)}/settings", {"contact_email": "x@example.org"}),
        (f"{of(ada)}/roles/new", {"name": "All", "permissions": ["people.manage"]}),
        (f"/agents/{agent.pk}/rename", {"name": "mine"}),
        (f"/agents/{agent.pk}/revoke", {}),
    )
    assert [client.post(url, sent).status_code for url, sent in refused] == [403] * 7
    page = client.get(of(ada)).content.decode()
    assert "Invite" not in page
    assert "Invite" not in client.get(f"{of(ada)}/people").content.decode()
    assert "Enrol an agent" not in page


def test_strangers_find_nothing_to_act_on(ada: Person, carol: Person, agent: Agent):
    client = browser(carol.user)
    urls = (
        f"{of(ada)}/people",
        f"{of(ada)}/people/{ada.user.pk}/remove",
        f"/agents/{agent.pk}/rename",
        f"/agents/{agent.pk}/revoke",
    )
    assert [client.post(url).status_code for url in urls] == [404] * 4
    assert client.get(f"/agents/{agent.pk}").status_code == 404


def test_the_table_of_roles_says_what_the_services_do(
    ada: Person, blaise: Person, scientist: Person, federation: Federation
):
    """Each row that only owners may is refused to a scientist, and the others are not."""
    asks = ParticipationFactory(federation=federation, state="requested")
    place = federation.participations.get(organisation=ada.organisation)
    attempts = {
        Permission.START_RUNS: lambda who: federations.set_rank(
            user=who, participation_id=place.pk, rank=8
        ),
        Permission.ADMIT_MEMBERS: lambda who: federations.approve_participation(
            user=who, participation_id=asks.pk
        ),
        Permission.MANAGE_AGENTS: lambda who: services.make_enrolment_code(
            organisation_id=ada.organisation.pk, user=who
        ),
        Permission.MANAGE_PEOPLE: lambda who: services.invite_person(
            organisation_id=ada.organisation.pk, email=blaise.user.email, role="owner", user=who
        ),
        Permission.FOUND_FEDERATIONS: lambda who: federations.create_federation(
            user=who,
            organisation_id=ada.organisation.pk,
            name="Second",
            purpose="",
            charter="1. Peace.",
            base_model_id=federation.base_model_id,
        ),
    }
    for permission, attempt in attempts.items():
        if permission in ROLES[Role.SCIENTIST]:
            attempt(scientist.user)
        else:
            with pytest.raises(Forbidden):
                attempt(scientist.user)
        attempt(ada.user)


# ---------------------------------------------------------------- agents


def test_the_list_says_who_is_there_and_what_each_does(ada: Person, agent: Agent):
    task = TaskFactory(
        agent=agent,
        participation__organisation=ada.organisation,
        round__run__name="Autumn",
        progress={
            "phase": "training",
            "step": 120,
            "steps": 400,
            "learning_rate": 5e-4,
            "examples_per_second": 9.5,
            "tokens_per_second": 1200.4,
            "device_memory_bytes": 3 << 30,
            "device_utilisation": 0.875,
        },
    )
    quiet = timezone.now() - timedelta(minutes=3)
    AgentFactory(organisation=ada.organisation, name="ward-2", last_seen_at=quiet)
    AgentFactory(organisation=ada.organisation, name="ward-3")
    told = words(browser(ada.user).get("/agents/"))
    assert f"ward-1 working Training, round {task.round.number} 120 of 400" in told
    how = "Speed 9.5 examples, 1,200 tokens a second Memory 3.0 GiB Device busy 88%"
    assert how in told.replace("\xa0", " ")
    page = words(browser(ada.user).get(f"/agents/{agent.pk}")).replace("\xa0", " ")
    assert f"Learning rate 5.00e-04 {how}" in page
    assert "Device NVIDIA L4 Version 0.1.0 Has data for nordic-hospitals" in told
    assert "ward-2 silent No work at present" in told
    assert "ward-3 never seen No work at present" in told


def test_an_agent_with_two_leases_is_listed_once(ada: Person, agent: Agent):
    for _ in range(2):
        TaskFactory(agent=agent, participation__organisation=ada.organisation)
    assert [one.agent for one in sightings(Agent.objects.all())] == [agent]


def test_the_list_asks_again_by_itself_until_nobody_is_left(ada: Person, agent: Agent):
    client = browser(ada.user)
    assert 'hx-trigger="every 5s"' in client.get("/agents/").content.decode()
    part = client.get("/agents/", headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="agents"')
    services.revoke_agent(agent_id=agent.pk, actor=ada.user.actor)
    assert "hx-trigger" not in client.get("/agents/").content.decode()


def test_who_has_left_is_told_from_who_was_revoked(ada: Person, agent: Agent):
    other = AgentFactory(organisation=ada.organisation, name="ward-2")
    services.leave(agent=agent, reason="sold")
    services.revoke_agent(agent_id=other.pk, actor=ada.user.actor)
    told = words(browser(ada.user).get("/agents/"))
    assert "ward-1 Ada Institute left" in told
    assert "ward-2 Ada Institute revoked" in told
    assert "ward-1' left for good: sold." in words(browser(ada.user).get(f"/agents/{agent.pk}"))


def test_an_agent_s_page_tells_its_story(ada: Person, agent: Agent):
    agent.record("enrolled", actor=agent.actor, data={"organisation": "Ada", "agent": agent.name})
    TaskFactory(
        agent=agent,
        participation__organisation=ada.organisation,
        state="failed",
        failure_code="out_of_memory",
        ended_at=timezone.now() + timedelta(seconds=90),
    )
    response = browser(ada.user).get(f"/agents/{agent.pk}")
    told = words(response)
    assert "Ada's agent 'ward-1' enrolled." in told
    assert "failed out of memory 1 min 30 s" in told.replace("\xa0", " ")
    assert 'href="/docs/problems#out_of_memory"' in response.content.decode()


def test_an_agent_is_renamed_and_revoked_with_a_reason(ada: Person, agent: Agent):
    client = browser(ada.user)
    told = words(client.post(f"/agents/{agent.pk}/rename", {"name": "attic"}, follow=True))
    assert "It is called attic now." in told
    for _ in range(2):
        told = words(client.post(f"/agents/{agent.pk}/revoke", {"reason": "Sold"}, follow=True))
    assert "Ada revoked Ada Institute's agent 'attic': Sold." in told
    assert told.count("Sold") == 1
    assert "hx-trigger" not in client.get(f"/agents/{agent.pk}").content.decode()


def test_a_name_that_is_taken_is_refused_in_words(ada: Person, agent: Agent):
    AgentFactory(organisation=ada.organisation, name="attic")
    sent = {"name": "attic"}
    told = words(browser(ada.user).post(f"/agents/{agent.pk}/rename", sent, follow=True))
    assert "Another agent of the organisation has this name." in told


def test_the_enrolment_lines_let_an_agent_in(ada: Person, federation: Federation, settings):
    client = browser(ada.user)
    sent = client.post("/agents/enrol", {"organisation": ada.organisation.pk})
    assert sent.headers["Location"] == "/agents/enrol"
    response = client.get("/agents/enrol")
    told = words(response)
    code = re.search(rf"foedus-agent enrol {settings.PUBLIC_URL} --code (enrol_[\w-]+)", told)
    assert code, told
    assert f"foedus-agent data add {federation.slug} path/to/folder" in told
    assert "foedus-agent run" in told
    assert response.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    made = services.enrol_agent(message=message(code[1], generate_private_key()))
    assert made.organisation == ada.organisation
    assert code[1] not in client.get("/agents/enrol").content.decode()
    assert EnrolmentCode.objects.count() == 1


def test_open_codes_are_listed_and_revoked(ada: Person, scientist: Person):
    code, _ = services.make_enrolment_code(organisation_id=ada.organisation.pk, user=ada.user)
    client, url = browser(ada.user), f"/agents/codes/{code.pk}/revoke"
    listed = words(client.get("/agents/"))
    assert "Open enrolment codes" in listed
    assert "Ada Institute Ada just now in 24 hours Revoke…" in listed.replace("\xa0", " ")
    assert "Open enrolment codes" not in words(browser(scientist.user).get("/agents/"))
    for _ in range(2):
        told = words(client.post(url, follow=True))
        assert "Revoked. The code lets nobody in any more." in told
    assert "Open enrolment codes" not in told
    assert words(client.get(of(ada))).count("Ada revoked an enrolment code of Ada Institute.") == 1


def test_a_code_is_revoked_by_owners_only_and_only_before_its_use(
    ada: Person, blaise: Person, scientist: Person
):
    code, secret = services.make_enrolment_code(organisation_id=ada.organisation.pk, user=ada.user)
    url = f"/agents/codes/{code.pk}/revoke"
    people = (blaise, scientist)
    assert [browser(one.user).post(url).status_code for one in people] == [404, 403]
    services.enrol_agent(message=message(secret, generate_private_key()))
    told = words(browser(ada.user).post(url, follow=True))
    assert "Revoke the agent that came in with it." in told


def test_codes_are_made_for_one_s_own_organisations_only(ada: Person, blaise: Person):
    response = browser(ada.user).post("/agents/enrol", {"organisation": blaise.organisation.pk})
    assert "Select a valid choice" in words(response)
    assert not EnrolmentCode.objects.exists()


def test_who_owns_nothing_is_told_why_there_is_no_code(scientist: Person):
    told = words(browser(scientist.user).get("/agents/enrol"))
    assert "Agents are enrolled by owners" in told


# ---------------------------------------------------------------- all pages


def test_what_people_type_is_shown_as_text(ada: Person):
    probe = '<img src=x onerror="alert(1)">'
    Organisation.objects.filter(pk=ada.organisation.pk).update(name=probe, description=probe)
    AgentFactory(organisation=ada.organisation, name=probe, device=probe, federations=[probe])
    for url in (of(ada), "/agents/", "/organisations/", "/", "/agents/enrol"):
        assert "<img" not in browser(ada.user).get(url).content.decode()


def test_pages_need_few_queries(
    ada: Person, agent: Agent, federation: Federation, django_assert_max_num_queries
):
    for number in range(4):
        MembershipFactory(organisation=ada.organisation)
        MembershipFactory(user=ada.user)
        ParticipationFactory(organisation=ada.organisation)
        other = AgentFactory(organisation=ada.organisation)
        TaskFactory(agent=other, participation=federation.participations.first())
        TaskFactory(agent=agent, participation=federation.participations.first())
        ada.organisation.record("code_made", actor=ada.user.actor, data={"number": number})
    pages = (
        "/organisations/",
        of(ada),
        f"{of(ada)}/people",
        f"{of(ada)}/roles",
        "/agents/",
        f"/agents/{agent.pk}",
        "/agents/enrol",
    )
    client = browser(ada.user)
    for page in (*pages, REGISTER):
        with django_assert_max_num_queries(MOST_QUERIES):
            assert client.get(page).status_code == 200


def test_a_page_that_changes_nothing_takes_no_post(ada: Person):
    for url in ("/", "/agents/", "/organisations/", of(ada)):
        assert browser(ada.user).post(url).status_code == 405
    assert browser(ada.user).post(f"{of(ada)}/roles").status_code == 405


def test_without_the_form_s_secret_nothing_is_done(ada: Person):
    client = browser(ada.user)
    client.handler.enforce_csrf_checks = True
    assert client.post(REGISTER, {"name": "Niels Bank"}).status_code == 403


def test_an_operator_sees_organisations_that_are_not_theirs(operator: Person):
    other = OrganisationFactory(name="Far away", slug="far-away", state="pending")
    AgentFactory(organisation=other, name="ward-9")
    page = browser(operator.user).get("/organisations/far-away")
    assert "Far away awaiting approval" in words(page)
    assert "/agents/" not in page.content.decode().split("<main", 1)[1]

from __future__ import annotations

import pytest

from hub.federations import services
from hub.federations.models import Federation, Participation
from hub.organisations.models import Organisation, Role
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import BaseModelFactory, VersionFactory
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import MembershipFactory, OrganisationFactory
from tests.factories.runs import RunFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10


def at(federation: Federation, page: str = "") -> str:
    return f"/federations/{federation.slug}{page}"


# ---------------------------------------------------------------- find


def test_the_list_tells_one_s_own_from_those_to_join(ada: Person, carol: Person, federation):
    hidden = FederationFactory(name="Hidden", is_listed=False)
    closed = FederationFactory(name="Closed", state="paused")
    mine = words(browser(ada.user).get("/federations/"))
    ours, listed = mine.split("Listed on this hub")
    assert federation.name in ours
    assert federation.name not in listed
    theirs = words(browser(carol.user).get("/federations/")).split("Listed on this hub")[1]
    assert f"{federation.name} Led by Ada Institute Organisations 2" in theirs
    assert hidden.name not in theirs
    assert closed.name not in theirs


def test_a_newcomer_s_list_says_what_comes_first():
    told = words(browser(UserFactory()).get("/federations/"))
    assert "Owners of an approved organisation found federations and sign charters." in told
    assert "Shown once your organisation is approved" in told


def test_strangers_get_404_and_outsiders_the_outside(carol: Person, federation: Federation):
    RunFactory(federation=federation, name="Autumn")
    told = words(browser(carol.user).get(at(federation)))
    assert "Read and sign" in told
    assert "Organisations 2" in told
    for inner in ("Autumn", "Blaise Bank", "Versions", "New run"):
        assert inner not in told
    Federation.objects.update(is_listed=False)
    assert browser(carol.user).get(at(federation)).status_code == 404
    assert browser(UserFactory()).get(at(federation)).status_code == 404


# ---------------------------------------------------------------- join


def test_signing_the_charter_asks_to_join(carol: Person, ada: Person, federation: Federation):
    client = browser(carol.user)
    page = client.get(at(federation, "/join"))
    assert federation.charter in words(page)
    sent = {
        "organisation": carol.organisation.pk,
        "rank": 4,
        "charter_digest": federation.charter_digest,
        "agree": "on",
    }
    told = words(client.post(at(federation, "/join"), sent, follow=True))
    assert "Carol Clinic has signed and asks to join." in told
    assert "The lead, Ada Institute, decides." in told
    place = Participation.objects.get(organisation=carol.organisation)
    assert (place.state, place.rank, place.signed_by) == ("requested", 4, carol.user)
    lead = words(browser(ada.user).get(at(federation)))
    assert f"Carol signed {federation.charter_digest[:8]}" in lead


def test_signing_twice_asks_once(carol: Person, federation: Federation):
    client = browser(carol.user)
    sent = {
        "organisation": carol.organisation.pk,
        "charter_digest": federation.charter_digest,
        "agree": "on",
    }
    client.post(at(federation, "/join"), sent)
    told = words(client.post(at(federation, "/join"), sent))
    assert "You sign as owner of an approved organisation that is not in this federation" in told
    assert federation.participations.filter(state="requested").count() == 1


def test_nobody_signs_without_saying_so(carol: Person, federation: Federation):
    sent = {
        "organisation": carol.organisation.pk,
        "charter_digest": federation.charter_digest,
    }
    told = words(browser(carol.user).post(at(federation, "/join"), sent))
    assert "This field is required." in told
    assert not Participation.objects.filter(organisation=carol.organisation).exists()


def test_a_charter_that_changed_meanwhile_is_read_again(carol: Person, federation: Federation):
    sent = {
        "organisation": carol.organisation.pk,
        "charter_digest": "0" * 64,
        "agree": "on",
    }
    response = browser(carol.user).post(at(federation, "/join"), sent)
    assert "The charter is no longer the text that was signed." in words(response)


def test_the_lead_decides_and_says_why(ada: Person, carol: Person, federation: Federation):
    place = ParticipationFactory(
        federation=federation, organisation=carol.organisation, state="requested"
    )
    client = browser(ada.user)
    sent = {"reason": "We do not know you yet."}
    told = words(client.post(f"/participations/{place.pk}/refuse", sent, follow=True))
    assert "Carol Clinic was not let in, and reads why." in told
    services.request_to_join(
        user=carol.user,
        organisation_id=carol.organisation.pk,
        federation_id=federation.pk,
        charter_digest=federation.charter_digest,
    )
    for _ in range(2):  # the second time changes nothing
        told = words(client.post(f"/participations/{place.pk}/approve", follow=True))
    assert "Carol Clinic takes part from now on." in told
    assert "Asking to join" not in told
    assert "CC Carol Clinic Contributor active" in told


def test_a_signature_under_an_earlier_text_is_told(ada: Person, carol: Person, federation):
    place = ParticipationFactory(
        federation=federation,
        organisation=carol.organisation,
        state="requested",
        charter_digest="0" * 64,
    )
    client = browser(ada.user)
    assert "signed an earlier text" in words(client.get(at(federation)))
    told = words(client.post(f"/participations/{place.pk}/approve", follow=True))
    assert "Carol Clinic must sign the present text first." in told


def test_only_owners_of_the_lead_decide(ada: Person, blaise: Person, carol: Person, federation):
    place = ParticipationFactory(federation=federation, state="requested")
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST)
    for user, status in ((scientist.user, 403), (blaise.user, 403), (carol.user, 404)):
        client = browser(user)
        for act in ("approve", "refuse"):
            response = client.post(f"/participations/{place.pk}/{act}", {"reason": "No"})
            assert response.status_code == status
    assert "Let in" not in words(browser(scientist.user).get(at(federation)))


# ---------------------------------------------------------------- inside


def test_the_page_has_members_runs_and_versions(ada: Person, federation: Federation):
    RunFactory(federation=federation, name="Autumn", created_by=ada.user)
    RunFactory(federation=federation, name="Alone", purpose="solo", created_by=ada.user)
    version = VersionFactory(federation=federation)
    VersionFactory(federation=federation, is_baseline=True)
    response = browser(ada.user).get(at(federation))
    told = words(response)
    assert "v2" not in told
    assert "1 Autumn running 5 Ada" in told
    assert "Alone one organisation alone" in told
    assert "v1 candidate" in told
    members = words(browser(ada.user).get(at(federation, "/members")))
    assert "BB Blaise Bank Contributor active" in members
    page = response.content.decode()
    for url in (
        at(federation, "/runs/new"),
        at(federation, "/versions"),
        at(federation, "/contributions"),
        at(federation, "/charter"),
        at(federation, "/policy"),
        f"/versions/{version.pk}",
        f"/base-models/{federation.base_model.slug}",
    ):
        assert f'href="{url}"' in page


def test_the_rank_is_kept_or_refused_in_words(ada: Person, blaise: Person, federation):
    place = federation.participations.get(organisation=blaise.organisation)
    url = f"/participations/{place.pk}/rank"
    client = browser(blaise.user)
    assert "Saved for Blaise Bank" in words(client.post(url, {"rank": 4}, follow=True))
    told = words(client.post(url, {"rank": 300}, follow=True))
    assert "less than or equal to 256" in told
    place.refresh_from_db()
    assert place.rank == 4
    client.post(url, {"rank": ""})
    place.refresh_from_db()
    assert place.rank is None
    assert browser(ada.user).post(url, {"rank": 8}).status_code == 404


def test_what_the_cards_say_is_written_here(ada: Person, blaise: Person, carol: Person, federation):
    place = federation.participations.get(organisation=blaise.organisation)
    url = f"/participations/{place.pk}/statement"
    client = browser(blaise.user)
    assert "Saved for Blaise Bank" in words(
        client.post(url, {"statement": "Old bills."}, follow=True)
    )
    assert browser(ada.user).post(url, {"statement": "x"}).status_code == 404
    page = at(federation, "/description")
    lead = browser(ada.user)
    assert "What the models are for" in words(lead.get(page))
    said = {"intended_use": "Sorting <b>bills</b>", "limits": "No people"}
    told = words(lead.post(page, said, follow=True))
    assert "Sorting <b>bills</b>" in told
    assert "Old bills." in words(lead.get(at(federation, "/members")))
    assert [browser(p.user).get(page).status_code for p in (blaise, carol)] == [403, 404]


def test_an_owner_leaves_and_the_lead_stays(ada: Person, blaise: Person, federation: Federation):
    lead = federation.participations.get(organisation=ada.organisation)
    told = words(browser(ada.user).post(f"/participations/{lead.pk}/leave", follow=True))
    assert "The lead organisation cannot leave its federation." in told
    place = federation.participations.get(organisation=blaise.organisation)
    scientist = MembershipFactory(organisation=blaise.organisation, role=Role.SCIENTIST)
    assert browser(scientist.user).post(f"/participations/{place.pk}/leave").status_code == 403
    for _ in range(2):
        told = words(browser(blaise.user).post(f"/participations/{place.pk}/leave", follow=True))
        assert f"Blaise Bank has left {federation}." in told


def test_a_paused_federation_says_so(ada: Person, federation: Federation):
    Federation.objects.update(state="paused")
    assert "The federation is paused. No work is handed out" in words(
        browser(ada.user).get(at(federation))
    )


# ---------------------------------------------------------------- all pages


def test_what_people_type_is_shown_as_text(ada: Person, carol: Person, federation: Federation):
    probe = '<img src=x onerror="alert(1)">'
    Federation.objects.update(name=probe, purpose=probe, charter=f"{probe}\n\n{probe}")
    Organisation.objects.filter(pk=carol.organisation.pk).update(name=probe, description=probe)
    ParticipationFactory(federation=federation, organisation=carol.organisation, state="requested")
    RunFactory(federation=federation, name=probe)
    BaseModelFactory(name=probe, licence=probe[:60])
    for url in (at(federation), at(federation, "/join"), "/federations/", "/"):
        page = browser(ada.user).get(url)
        assert page.status_code == 200
        assert "<img" not in page.content.decode()


def test_pages_need_few_queries(ada: Person, federation: Federation, django_assert_max_num_queries):
    for _ in range(4):
        ParticipationFactory(federation=federation)
        ParticipationFactory(federation=federation, state="requested")
        ParticipationFactory(organisation=ada.organisation)
        ParticipationFactory(
            federation=federation, organisation=MembershipFactory(user=ada.user).organisation
        )
        FederationFactory()
        RunFactory(federation=federation)
        VersionFactory(federation=federation)
        BaseModelFactory()
    other = FederationFactory()
    client = browser(ada.user)
    own = (at(federation, page) for page in ("", "/members", "/charter", "/policy"))
    for page in ("/federations/", *own, at(other), at(other, "/charter"), at(other, "/join")):
        with django_assert_max_num_queries(MOST_QUERIES):
            assert client.get(page).status_code == 200


def test_a_member_of_two_organisations_sees_both_places(ada: Person, federation: Federation):
    second = MembershipFactory(user=ada.user, organisation=OrganisationFactory(name="Second"))
    ParticipationFactory(federation=federation, organisation=second.organisation, rank=2)
    told = words(browser(ada.user).get(at(federation)))
    assert told.count("Largest adapter rank") == 2


# ---------------------------------------------------------------- the directory


def test_the_directory_is_searched_by_name_purpose_base_and_lead(ada: Person):
    FederationFactory(name="Letters", purpose="Sorts bills", base_model__name="MiniLM")
    lead = MembershipFactory(organisation=OrganisationFactory(name="North Bank")).organisation
    FederationFactory(name="Loans", policy={"join": "open"}, lead=lead)
    client = browser(ada.user)

    def found(query: str) -> list[str]:
        page = client.get(f"/federations/?{query}")
        return [one.name for one, _ in page.context["rows"]]

    assert found("") == ["Letters", "Loans"]
    for query in ("q=lett", "q=BILLS", "q=minilm", "q=sorts+letters"):
        assert found(query) == ["Letters"]
    assert found("q=north") == found("join=open") == ["Loans"]
    assert found("q=nothing") == []
    assert "No federation fits" in words(client.get("/federations/?q=nothing"))
    assert found("join=magic") == ["Letters", "Loans"]  # what cannot be chosen filters nothing


def test_the_directory_of_500_takes_few_queries(ada: Person, django_assert_max_num_queries):
    first = FederationFactory()
    place = first.participations.get()
    made = Federation.objects.bulk_create(
        Federation(slug=f"many-{n}", name=f"Many {n:03}", charter="x", base_model=first.base_model)
        for n in range(499)
    )
    Participation.objects.bulk_create(
        Participation(
            federation=one,
            organisation=place.organisation,
            standing="lead",
            state="active",
            charter_digest=one.charter_digest,
            signed_by=place.signed_by,
            signed_at=place.signed_at,
        )
        for one in made
    )
    client = browser(ada.user)
    for query in ("", "?q=many", "?page=20&join=request"):
        with django_assert_max_num_queries(MOST_QUERIES):
            page = client.get(f"/federations/{query}")
        assert len(page.context["rows"]) <= 24
    assert page.context["page"].paginator.count == 500

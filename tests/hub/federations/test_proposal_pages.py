"""Pages of votes: what waits first, one proposal, making one; few queries, and for members alone."""

from __future__ import annotations

import pytest
from django.urls import reverse

from hub.federations.charters.policyforms import PolicyChangeForm
from hub.federations.models import Federation, Proposal, Standing
from hub.federations.policies import Policy
from hub.federations.proposals.kinds import kinds
from hub.federations.proposals.services import propose, vote
from hub.organisations.permissions import Role
from tests.conftest import Person, owner
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import VersionFactory
from tests.factories.federations import ParticipationFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db
MOST_QUERIES = 10


@pytest.fixture
def members(federation: Federation, ada: Person, blaise: Person) -> list[Person]:
    federation.policy = Policy().model_dump(mode="json")
    federation.save(update_fields=["policy"])
    dora = owner("Dora", "Dora Data")
    ParticipationFactory(federation=federation, organisation=dora.organisation, signed_by=dora.user)
    return [ada, blaise, dora]


def place_of(federation: Federation, person: Person) -> str:
    return str(federation.participations.get(organisation=person.organisation).pk)


def expulsion(federation: Federation, by: Person, whom: Person) -> Proposal:
    terms = {"participation": place_of(federation, whom)}
    return propose(
        user=by.user,
        federation_id=federation.pk,
        kind="expel",
        terms=terms,
        reason="<b>copies</b> in three runs",
    )


def addresses(federation: Federation, made: Proposal) -> list[str]:
    return [
        reverse("federations:proposals", args=[federation.slug]),
        reverse("federations:propose", args=[federation.slug]),
        reverse("federations:propose", args=[federation.slug]) + "?kind=expel",
        reverse("federations:proposal", args=[made.pk]),
    ]


def test_pages_take_few_queries_and_are_for_members_alone(
    federation, members, carol, django_assert_max_num_queries
) -> None:
    ada, blaise, dora = members
    federation.participations.filter(organisation=ada.organisation).update(
        standing=Standing.CONTRIBUTOR
    )
    federation.participations.filter(organisation=blaise.organisation).update(
        standing=Standing.LEAD
    )
    made = expulsion(federation, ada, dora)
    for _ in range(4):
        version = VersionFactory(federation=federation)
        terms = {"version": str(version.pk)}
        propose(
            user=ada.user, federation_id=federation.pk, kind="release", terms=terms, reason="good"
        )
    client = browser(blaise.user)
    for url in addresses(federation, made):
        with django_assert_max_num_queries(MOST_QUERIES):
            page = client.get(url)
        assert page.status_code == 200, url
        assert "<b>copies" not in page.content.decode()
        assert browser(carol.user).get(url).status_code == 404
        assert browser(UserFactory()).get(url).status_code == 404
        assert browser().get(url).status_code == 302
    for name in ("vote", "withdraw"):
        url = reverse(f"federations:{name}", args=[made.pk])
        assert browser(carol.user).post(url, {"choice": "yes"}).status_code == 404
        assert browser().post(url).status_code == 302


def test_what_waits_for_the_reader_comes_first(federation, members) -> None:
    ada, blaise, dora = members
    first = expulsion(federation, ada, dora)
    version = VersionFactory(federation=federation)
    release = {"version": str(version.pk)}
    propose(
        user=blaise.user, federation_id=federation.pk, kind="release", terms=release, reason="good"
    )
    url = reverse("federations:proposals", args=[federation.slug])
    seen = words(browser(blaise.user).get(url))
    assert seen.index("Waits for your vote Expel Dora Data") < seen.index("Release version 1")
    vote(user=blaise.user, proposal_id=first.pk, choice="no")
    assert "Waits for your vote" not in words(browser(blaise.user).get(url))


def test_a_proposal_is_made_voted_on_and_decided_on_pages(federation, members) -> None:
    ada, blaise, dora = members
    make = reverse("federations:propose", args=[federation.slug]) + "?kind=suspend"
    place = place_of(federation, dora)
    client = browser(ada.user)
    assert "Suspend an organisation" in words(client.get(make + f"&participation={place}"))
    lacking = client.post(make, {"participation": place, "reason": ""})
    assert "This field is required" in words(lacking)
    assert not Proposal.objects.exists()
    client.post(make, {"participation": place, "reason": "two\nlines"})
    made = Proposal.objects.get()
    assert (made.reason, made.votes.get().choice) == ("two lines", "yes")
    address = reverse("federations:proposal", args=[made.pk])
    page = words(browser(blaise.user).get(address))
    assert "1 of 2 have voted, and 1 must." in page
    assert "If nobody else votes, it is accepted." in page
    assert "The vote of Blaise Bank" in page
    assert "The vote of" not in words(browser(dora.user).get(address))
    cast = reverse("federations:vote", args=[made.pk])
    browser(blaise.user).post(cast, {"choice": "perhaps"})
    browser(blaise.user).post(cast, {"choice": "yes", "participation": "no identifier"})
    assert made.votes.count() == 1
    done = browser(blaise.user).post(cast, {"choice": "yes", "reason": "agreed"}, follow=True)
    assert "The proposal is accepted." in words(done)
    assert "How it ended" in words(done)
    late = browser(ada.user).post(cast, {"choice": "no"}, follow=True)
    assert "This proposal is accepted already." in words(late)


def test_a_proposal_is_withdrawn_on_its_page(federation, members) -> None:
    ada, blaise, dora = members
    made = expulsion(federation, ada, dora)
    url = reverse("federations:withdraw", args=[made.pk])
    assert browser(blaise.user).post(url).status_code == 403
    assert "It stays on record." in words(browser(ada.user).post(url, follow=True))
    made.refresh_from_db()
    assert made.state == "withdrawn"


@pytest.mark.parametrize("name", sorted(kinds))
def test_every_kind_has_its_form_or_says_where_it_is_proposed(federation, members, name) -> None:
    url = reverse("federations:propose", args=[federation.slug])
    page = browser(members[0].user).get(f"{url}?kind={name}")
    assert str(kinds[name].label) in words(page)
    assert kinds[name].form or "proposed where its matter is" in words(page)
    assert browser(members[0].user).get(f"{url}?kind=coup").status_code == 404


def test_rules_that_nobody_touched_stay_to_the_last_byte(federation, members) -> None:
    federation.largest_update_bytes = 1_500_000
    federation.policy["voting"] = {"quorum": 1 / 3}
    federation.save()
    given = {"federation": federation, "user": members[0].user}
    shown = PolicyChangeForm(**given).initial
    same = PolicyChangeForm({**shown, "credits_without_vote": ""}, **given)
    assert "This is what is agreed on already" in str(same.errors)
    form = PolicyChangeForm({**shown, "credits_without_vote": "", "days": 3}, **given)
    assert form.is_valid(), form.errors
    terms = form.terms()
    assert terms["largest_update_bytes"] == 1_500_000
    assert terms["policy"]["voting"]["quorum"] == 1 / 3
    assert terms["policy"]["voting"]["days"] == 3


@pytest.mark.parametrize("name", ["restore", "run", "admit"])
def test_where_there_is_nothing_to_choose_no_form_is_shown(federation, members, name) -> None:
    url = reverse("federations:propose", args=[federation.slug]) + f"?kind={name}"
    page = browser(members[0].user).get(url)
    assert "There is nothing to propose this for" in words(page)
    assert "<select" not in page.content.decode().partition('id="main"')[2].partition("</main>")[0]


def test_who_may_not_propose_is_told_so(federation, members) -> None:
    ada = members[0]
    ada.user.memberships.update(role=Role.AUDITOR)
    url = reverse("federations:propose", args=[federation.slug])
    assert browser(ada.user).get(url).status_code == 403
    listed = browser(ada.user).get(reverse("federations:proposals", args=[federation.slug]))
    assert "Propose something" not in words(listed)

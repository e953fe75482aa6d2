from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.utils import timezone

from hub.common.actors import HUB
from hub.common.errors import Forbidden, NotFound
from hub.common.models import Event, OutboxMessage
from hub.common.sentences import sentence
from hub.dispatch import Job
from hub.federations import errors
from hub.federations.charters.joining import request_to_join
from hub.federations.charters.selectors import charter_digest_at, unsigned_places
from hub.federations.charters.services import change_policy, publish_charter, sign_charter
from hub.federations.models import Federation, Participation, Signature
from hub.federations.policies import Policy
from hub.federations.services import approve_participation, create_federation, leave
from hub.ledger.models import Entry
from hub.organisations.models import Invitation, Role
from tests.conftest import Person
from tests.factories.catalogue import BaseModelFactory
from tests.factories.federations import ParticipationFactory
from tests.factories.organisations import MembershipFactory
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10
TEXT = "1. Nobody's data leaves its owner.\n2. Everybody sees the same record."


def place_of(person: Person, federation: Federation) -> Participation:
    return federation.participations.get(organisation=person.organisation)


def publish(federation: Federation, text: str = TEXT) -> None:
    publish_charter(federation=federation, text=text, actor=HUB)


def sign(person: Person, federation: Federation, **changes: str) -> Participation:
    federation.refresh_from_db()
    said = {"charter_digest": federation.charter_digest, **changes}
    return sign_charter(user=person.user, participation_id=place_of(person, federation).pk, **said)


def entries(federation: Federation, kind: str) -> int:
    return Entry.objects.filter(ledger=federation.pk, type=kind).count()


def unsigned(federation: Federation) -> list[str]:
    return [place.organisation.name for place in unsigned_places(federation)]


def ask(person: Person, federation: Federation, **changes: object) -> Participation:
    said = {"charter_digest": federation.charter_digest, **changes}
    return request_to_join(
        user=person.user,
        organisation_id=person.organisation.pk,
        federation_id=federation.pk,
        **said,
    )


def test_a_new_text_wants_every_member_s_own_signature(ada, blaise, federation):
    publish(federation)
    assert unsigned(federation) == ["Ada Institute", "Blaise Bank"]
    for _ in range(2):
        assert sign(ada, federation).charter_number == 2
    assert unsigned(federation) == ["Blaise Bank"]
    sign(blaise, federation)
    assert unsigned(federation) == []
    assert Signature.objects.filter(version__number=2).count() == 2
    assert entries(federation, "charter.published") == 1
    assert entries(federation, "charter.signed") == 2
    assert OutboxMessage.objects.filter(job=Job.ADVANCE_FEDERATION).count() == 2
    told = [sentence(event) for event in Event.objects.filter(kind__contains="charter")]
    assert told == [
        "Version 2 of the charter is in force",
        "Ada Institute signed version 2 of the charter",
        "Blaise Bank signed version 2 of the charter",
    ]


def test_the_same_text_again_is_no_new_version(federation):
    for _ in range(2):
        publish(federation)
    assert federation.charter_versions.count() == 2
    assert entries(federation, "charter.published") == 1


def test_an_earlier_text_that_comes_back_is_signed_again(ada, federation):
    first = federation.charter
    publish(federation)
    publish(federation, first)
    assert len(unsigned(federation)) == 2
    assert sign(ada, federation).charter_number == 3


def test_only_the_text_in_force_is_signed_and_only_by_its_owners(ada, blaise, carol, federation):
    former = federation.charter_digest
    publish(federation)
    with pytest.raises(errors.CharterChanged) as refused:
        sign(ada, federation, charter_digest=former)
    assert refused.value.extra == {"charter_digest": federation.charter_digest}
    place = place_of(ada, federation)
    scientist = MembershipFactory(organisation=ada.organisation, role=Role.SCIENTIST).user
    for user, refusal in ((blaise.user, NotFound), (carol.user, NotFound), (scientist, Forbidden)):
        with pytest.raises(refusal):
            sign_charter(
                user=user,
                participation_id=place.pk,
                charter_digest=federation.charter_digest,
            )
    assert len(unsigned(federation)) == 2


def test_who_has_left_signs_nothing(blaise, federation):
    publish(federation)
    federation.participations.filter(organisation=blaise.organisation).update(state="left")
    with pytest.raises(errors.NotTakingPart):
        sign(blaise, federation)


def test_who_asks_to_join_signs_the_text_in_force_before_it_is_let_in(ada, carol, federation):
    place = ask(carol, federation)
    publish(federation)
    with pytest.raises(errors.CharterChanged):
        approve_participation(user=ada.user, participation_id=place.pk)
    sign(carol, federation)
    assert entries(federation, "charter.signed") == 0  # the ledger tells of members only
    approve_participation(user=ada.user, participation_id=place.pk)
    assert entries(federation, "charter.signed") == 1


def test_the_text_of_a_moment_is_the_one_that_was_in_force_then(federation):
    first = federation.charter_versions.get()
    publish(federation)
    second = federation.charter_versions.get(number=2)
    assert charter_digest_at(federation, first.created_at) == first.digest
    assert charter_digest_at(federation, second.created_at) == second.digest


# ---------------------------------------------------------------- the licence


def licensed(ada: Person, **changes: object) -> Federation:
    base = BaseModelFactory(licence_text="Do good.", must_accept=True)
    return create_federation(
        user=ada.user,
        organisation_id=ada.organisation.pk,
        name="Support tickets",
        purpose="",
        charter="1. Nobody's data leaves its owner.",
        base_model_id=base.pk,
        **{"licence_digest": base.licence_digest, **changes},
    )


def test_the_licence_is_accepted_with_the_signature(ada, carol):
    federation = licensed(ada)
    digest = federation.base_model.licence_digest
    with pytest.raises(errors.LicenceUnaccepted) as refused:
        ask(carol, federation)
    assert refused.value.extra == {"licence_digest": digest}
    assert not Participation.objects.filter(organisation=carol.organisation).exists()
    place = ask(carol, federation, licence_digest=digest)
    assert place.signatures.get().licence_digest == digest
    accepted = federation.base_model.acceptances.values_list("organisation__name", "licence_digest")
    assert set(accepted) == {("Ada Institute", digest), ("Carol Clinic", digest)}
    assert Event.objects.filter(kind="organisation.licence_accepted").count() == 2


def test_nobody_founds_without_the_licence(ada):
    with pytest.raises(errors.LicenceUnaccepted):
        licensed(ada, licence_digest="0" * 64)
    assert not Federation.objects.exists()


def test_nobody_is_let_in_without_the_licence(ada, carol):
    federation = licensed(ada)
    place = ParticipationFactory(
        federation=federation, organisation=carol.organisation, state="requested"
    )
    with pytest.raises(errors.LicenceUnaccepted):
        approve_participation(user=ada.user, participation_id=place.pk)


# ---------------------------------------------------------------- joining


def test_an_open_federation_takes_in_whoever_signs(carol, federation):
    change_policy(federation=federation, policy=Policy(join="open"), actor=HUB)
    for _ in range(2):
        assert ask(carol, federation).state == "active"
    assert entries(federation, "participation.admitted") == 1


def test_by_invitation_nobody_else_comes_in(carol, federation):
    change_policy(federation=federation, policy=Policy(join="invitation"), actor=HUB)
    with pytest.raises(errors.InvitationNeeded):
        ask(carol, federation)
    for _ in range(2):
        assert ask(carol, federation, invited=True, standing="observer").state == "active"
    assert place_of(carol, federation).standing == "observer"


def test_an_accepted_invitation_lets_in_at_once_and_once(ada, carol, federation):
    """Also into a federation that nobody else finds, and as what the lead has offered."""
    Federation.objects.filter(pk=federation.pk).update(is_listed=False)
    with pytest.raises(NotFound):
        ask(carol, federation)
    Invitation.objects.create(
        kind="federation",
        state="accepted",
        email="carol@example.org",
        organisation=ada.organisation,
        federation=federation,
        standing="observer",
        digest="0" * 64,
        expires_at=timezone.now(),
        accepted_by=carol.user,
        accepted_for=carol.organisation,
    )
    told = words(browser(carol.user).get(f"/federations/{federation.slug}/join"))
    assert "is invited as observer: with its signature it takes part at once." in told
    assert "Sign and take part" in told
    assert "Contributor" not in told  # the invitation says as what
    for _ in range(2):
        place = ask(carol, federation)
        assert (place.state, place.standing) == ("active", "observer")
    leave(user=carol.user, participation_id=place.pk)
    assert ask(carol, federation).state == "requested"


def test_a_change_of_policy_is_told_once(federation):
    for _ in range(2):
        change_policy(federation=federation, policy=Policy(), actor=HUB, largest_update_bytes=2**21)
    federation.refresh_from_db()
    assert (federation.largest_update_bytes, federation.typed_policy) == (2**21, Policy())
    assert entries(federation, "policy.changed") == 1
    assert Event.objects.filter(kind="federation.policy_changed").count() == 1


# ---------------------------------------------------------------- at the same time


@pytest.mark.django_db(transaction=True)
def test_signing_while_texts_are_published_signs_what_is_in_force(ada, blaise, federation):
    """Whatever comes first: nobody is held to a text that they have not read."""
    people, start = [ada, blaise] * 3, Barrier(8)
    known = federation.charter_digest

    def act(number: int) -> None:
        start.wait()
        try:
            if number < 2:
                publish(Federation.objects.get(pk=federation.pk), f"{TEXT}\n{number}")
            else:
                seen = Federation.objects.get(pk=federation.pk).charter_digest
                sign_charter(
                    user=people[number - 2].user,
                    participation_id=place_of(people[number - 2], federation).pk,
                    charter_digest=seen,
                )
        except errors.CharterChanged:
            pass
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(act, range(8)))
    federation.refresh_from_db()
    assert federation.charter_number == 3
    numbers = federation.charter_versions.values_list("number", "digest")
    digests = dict(numbers)
    assert sorted(digests) == [1, 2, 3]
    assert digests[1] == known
    for place in federation.participations.all():
        assert place.charter_digest == digests[place.charter_number]
        newest = place.signatures.order_by("version__number").last()
        assert newest.version.number == place.charter_number


# ---------------------------------------------------------------- pages


def test_the_page_shows_texts_changes_and_who_is_missing(ada, blaise, carol, federation):
    publish(federation)
    sign(ada, federation)
    client, page = browser(blaise.user), f"/federations/{federation.slug}/charter"
    told = words(client.get(page))
    assert "Version 2, in force" in told
    assert "Added: 2. Everybody sees the same record." in told
    assert "Blaise Bank has still to sign Ada Institute Ada" in told
    assert "until Blaise Bank has signed it" in told
    assert "until Blaise Bank has signed it" in words(client.get(f"/federations/{federation.slug}"))
    assert "Sign for Blaise Bank" in told
    assert "Sign for Ada Institute" not in told
    before = words(client.get(f"{page}?version=1"))
    assert "This text is no longer in force." in before
    assert "2. Everybody sees" not in before
    assert client.get(f"{page}?version=3").status_code == 404
    outside = words(browser(carol.user).get(page))
    assert "Everybody sees the same record" in outside
    assert "Blaise" not in outside


def test_signing_on_the_page_needs_the_text_and_the_word(blaise, carol, federation):
    publish(federation)
    place = place_of(blaise, federation)
    client, url = browser(blaise.user), f"/participations/{place.pk}/sign"
    said = {"charter_digest": federation.charter_digest, "agree": "on"}
    assert "This field is required" in words(client.post(url, {**said, "agree": ""}, follow=True))
    old = {**said, "charter_digest": "0" * 64}
    assert "no longer the text" in words(client.post(url, old, follow=True))
    assert browser(carol.user).post(url, said).status_code == 404
    assert unsigned(federation) == ["Ada Institute", "Blaise Bank"]
    for _ in range(2):
        told = words(client.post(url, said, follow=True))
        assert "Blaise Bank has signed version 2 of the charter." in told
    assert unsigned(federation) == ["Ada Institute"]


def test_the_pages_of_what_is_agreed_need_few_queries(
    ada, federation, django_assert_max_num_queries
):
    for number in range(5):
        ParticipationFactory(federation=federation)
        publish(federation, f"{TEXT}\n{number}")
    client, at = browser(ada.user), f"/federations/{federation.slug}"
    for page in ("/charter", "/charter?version=2", "/policy", "/members"):
        with django_assert_max_num_queries(MOST_QUERIES):
            assert client.get(at + page).status_code == 200


def test_the_policy_is_told_in_words(ada, federation):
    rules = Policy(minimum_participants=3, strategies=("fedavg", "fedex"), credits_without_vote=0)
    rules = rules.model_copy(update={"credits_in_period": 500})
    change_policy(federation=federation, policy=rules, actor=HUB)
    told = words(browser(ada.user).get(f"/federations/{federation.slug}/policy"))
    assert "At least 3 train in every run" in told
    assert "By averaging (fedavg) or averaging, with what" in told
    assert "The members vote on every run that splits credits." in told
    assert "All runs that begin within 90 days may split 500 credits together" in told
    assert "The members vote on all that can be proposed." in told

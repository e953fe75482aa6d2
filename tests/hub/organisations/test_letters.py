"""The mails' job and their sweeping, as a worker does them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from hub.common.errors import NotFound
from hub.common.models import OutboxMessage
from hub.organisations import services
from hub.organisations.models import Letter
from tests.conftest import Person
from tests.factories.organisations import MembershipFactory
from tests.hub.organisations.test_invitations import asked

pytestmark = pytest.mark.django_db


def test_the_worker_sends_a_letter_once(ada: Person):
    from jobs.coordination import send_letter

    asked(ada)
    (asked_for,) = OutboxMessage.objects.filter(job=send_letter.name)
    for _ in range(2):
        send_letter(*asked_for.arguments)
    assert [sent.to for sent in mail.outbox] == [["grace@example.org"]]
    with pytest.raises(NotFound):
        send_letter("no letter")


def test_a_letter_about_what_has_passed_is_not_sent(ada: Person):
    invitation = asked(ada)
    services.revoke_invitation(invitation_id=invitation.pk, user=ada.user)
    letter = Letter.objects.get()
    services.send_letter(letter_id=letter.pk)
    assert mail.outbox == []
    letter.refresh_from_db()
    assert letter.sent_at is not None


def test_who_is_approved_reads_what_to_do_next(ada: Person):
    place = MembershipFactory(organisation__state="pending", organisation__name="O'Hara & Sons")
    services.approve_organisation(organisation_id=place.organisation.pk, actor=ada.user.actor)
    services.send_letter(letter_id=Letter.objects.get().pk)
    (sent,) = mail.outbox
    assert sent.subject == "Foedus: O'Hara & Sons is approved"
    assert "O'Hara & Sons has been approved. You own it" in sent.body
    assert "operator says" not in sent.body


def test_old_letters_are_let_go(ada: Person):
    asked(ada)
    Letter.objects.update(created_at=timezone.now() - timedelta(days=31))
    services.sweep_letters()
    assert not Letter.objects.exists()

"""Who gets into the console, and what it lets them see and write."""

from __future__ import annotations

import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.conf import LazySettings
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model, ProtectedError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from hub.accounts.models import ApiToken, User
from hub.catalogue.bases import drafts
from hub.catalogue.bases.licences import accept_licence
from hub.catalogue.evaluation.probes import add_probe
from hub.catalogue.models import Evaluation, Push
from hub.catalogue.versions.aliases import give_alias
from hub.catalogue.versions.releases import propose_release
from hub.common.acts import change_url
from hub.common.models import Event, OutboxMessage
from hub.contributions.models import Case, CaseKind, Valuation
from hub.dispatch import Job
from hub.ledger.models import Checkpoint, EntryType
from hub.ledger.services import append, settle
from hub.notices.models import Delivery, Mail, Webhook
from hub.operations import life, switching
from hub.organisations.entry_models import Invitation
from hub.organisations.services import make_enrolment_code
from hub.runs.models import Run, Update
from tests.conftest import client_of
from tests.factories.accounts import PASSWORD, UserFactory
from tests.factories.catalogue import BaseModelFactory, EvaluationFactory, upload_file
from tests.hub.operations.conftest import reauthenticated, signed_in
from tests.hub.runs.world import World

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
MOST_QUERIES = 15
ALLOWED = {("accounts_user", "add")}  # what may be written without an act


def name_of(model: type[Model]) -> str:
    return model._meta.label_lower.replace(".", "_")


def fill_ledger(world: World) -> None:
    log = world.federation.pk
    append(ledger=log, type=EntryType.CORRECTION, key="told", payload={})
    settle(ledger=log, key="told")
    Checkpoint.objects.create(ledger=log, size=1, root=bytes(32), note="…")


@pytest.fixture
def full(world: World, olga: User) -> World:
    """A world with at least one row of everything that the console shows."""
    run = world.start_run()
    world.play_round(run)
    offer = world.lease(world.sites[0])
    path = world.update_file(offer, world.sites[0])
    upload_file(world.sites[0].agent, path, task_id=offer.id)
    EvaluationFactory()
    fill_registry(world)
    fill_conduct(run)
    fill_operations()
    fill_people(world)
    fill_notices(world)
    fill_ledger(world)
    EmailAddress.objects.create(user=olga, email=olga.email, verified=True, primary=True)
    OutboxMessage.objects.create(job="default.advance_run", arguments=[str(run.pk)])
    make_enrolment_code(organisation_id=world.sites[0].agent.organisation_id, user=world.lead)
    return world


def fill_registry(world: World) -> None:
    """What people bring, accept, propose and send."""
    version = world.federation.versions.order_by("number").first()
    brought = BaseModelFactory(licence_text="Do good.", must_accept=True)
    organisation = world.sites[0].agent.organisation
    drafts.begin_draft(
        user=world.lead,
        organisation_id=organisation.pk,
        slug="brought",
        name="Brought",
        licence="MIT",
    )
    accept_licence(
        user=world.lead,
        organisation_id=organisation.pk,
        base_model_id=brought.pk,
        licence_digest=brought.licence_digest,
    )
    add_probe(
        user=world.lead,
        federation_id=world.federation.pk,
        content=b'{"text": "a", "label": "ham"}',
        statement="Written by us.",
        licence="CC0-1.0",
    )
    propose_release(user=world.lead, version_id=version.pk, reason="better")
    give_alias(user=world.lead, version_id=version.pk, name="pilot")
    Push.objects.create(
        version=version,
        commit=version.commits.first(),
        endpoint="https://elsewhere.example",
        repo="ada/copy",
        sealed_token=b"secret of the other hub",
        asked_by=world.lead,
    )


def fill_people(world: World) -> None:
    """Who is to come in."""
    Invitation.objects.create(
        kind="person",
        email="new@example.org",
        organisation=world.sites[0].agent.organisation,
        role="scientist",
        digest="0" * 64,
        expires_at=timezone.now(),
    )


def fill_operations() -> None:
    """What the hub knows of itself."""
    switching.switchboard()
    life.begin(name="compute@lab", pid=7)
    life.note_failure(job=Job.PREPARE_RUN, arguments=["x"], worker="compute@lab", error="OSError")


def fill_notices(world: World) -> None:
    """What people and other systems are told."""
    now, organisation = timezone.now(), world.sites[0].agent.organisation
    Mail.objects.create(user=world.lead, next_at=now)
    hook = Webhook.objects.create(
        organisation=organisation,
        name="Tickets",
        url="https://hooks.example/secret-of-the-address",
        kinds=["run_failed"],
        sealed_secret=b"secret of the webhook",
    )
    event = Event.objects.latest("pk")
    Delivery.objects.create(webhook=hook, event=event, kind="run_failed", url="/", next_at=now)


def fill_conduct(run: Run) -> None:
    """What contributions were worth, and what was noticed about them."""
    first = run.rounds.earliest("number")
    Valuation.objects.create(
        round=first, number=1, spec={}, spec_digest="0" * 64, is_planned=False, seed="0" * 64
    )
    Case.objects.create(
        federation=run.federation,
        run=run,
        round=first,
        kind=CaseKind.values[0],
        participations=[run.federation.participations.earliest("created_at").pk],
    )


def test_strangers_sign_in_where_the_pages_do(client: Client, db: None) -> None:
    answer = client.get(reverse("admin:index"), follow=True)
    assert answer.redirect_chain[-1][0].startswith(reverse("account_login"))


def test_a_person_who_is_no_operator_is_refused(db: None) -> None:
    client = signed_in(UserFactory())
    assert client.get(reverse("admin:index"), follow=True).status_code == 403


def test_an_operator_needs_no_other_permission(console: Client) -> None:
    assert console.get(reverse("admin:index")).status_code == 200


def test_an_operator_without_a_second_factor_is_told(console: Client) -> None:
    assert "Two-factor authentication is off" in console.get(reverse("admin:index")).text


def test_the_second_factor_can_be_demanded(console: Client, settings: LazySettings) -> None:
    settings.REQUIRE_OPERATOR_MFA = True
    answer = console.get(reverse("admin:index"), follow=True)
    assert answer.redirect_chain[-1][0] == reverse("mfa_index")
    assert "two-factor authentication" in answer.text


def test_with_the_second_factor_the_console_opens(
    console: Client, olga: User, settings: LazySettings
) -> None:
    settings.REQUIRE_OPERATOR_MFA = True
    Authenticator.objects.create(user=olga, type=Authenticator.Type.TOTP, data={"secret": "x"})
    answer = console.get(reverse("admin:index"))
    assert answer.status_code == 200
    assert "Two-factor authentication is off" not in answer.text


def test_scripts_and_styles_are_loosened_for_the_console_alone(console: Client) -> None:
    policy = console.get(reverse("admin:index"))["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval';" in f"{policy};"
    assert "style-src 'self' 'unsafe-inline';" in f"{policy};"
    page = console.get(reverse("account_email"))["Content-Security-Policy"]
    assert "unsafe" not in page


def test_a_list_is_named_once_above_itself(console: Client) -> None:
    page = console.get(reverse("admin:organisations_organisation_changelist")).text
    assert f'"{reverse("admin:app_list", args=["organisations"])}"' not in page


def test_pages_carry_no_inline_scripts(console: Client, full: World) -> None:
    for page in (reverse("admin:index"), reverse("admin:accounts_user_add")):
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", console.get(page).text)


def test_every_list_opens_and_can_be_searched(
    console: Client,
    full: World,
    subtests: pytest.Subtests,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for model in MODELS:
        page = reverse(f"admin:{name_of(model)}_changelist")
        with subtests.test(model=name_of(model)):
            assert model._default_manager.exists(), "the world lacks one of these"
            with django_assert_max_num_queries(MOST_QUERIES):
                assert console.get(page).status_code == 200
            for words in ("bank", "00000000-0000-0000-0000-000000000000", "100%"):
                assert console.get(page, {"q": words}).status_code == 200


def test_every_row_opens_with_its_history(
    console: Client, full: World, subtests: pytest.Subtests
) -> None:
    for model in MODELS:
        with subtests.test(model=name_of(model)):
            row = quote(model._default_manager.order_by("pk").last().pk)
            for page in ("change", "history"):
                answer = console.get(reverse(f"admin:{name_of(model)}_{page}", args=[row]))
                assert answer.status_code == 200


def test_nothing_is_written_past_the_services(
    console: Client, full: World, subtests: pytest.Subtests
) -> None:
    """Every model × add, change, delete; and `reauthenticated`, so that nothing else refuses."""
    reauthenticated(console)
    for model in MODELS:
        name = name_of(model)
        row = quote(model._default_manager.order_by("pk").last().pk)
        before = list(model._default_manager.order_by("pk").values())
        for what in ("add", "change", "delete"):
            url = reverse(f"admin:{name}_{what}", args=[] if what == "add" else [row])
            with subtests.test(model=name, what=what):
                allowed = (name, what) in ALLOWED
                assert (console.post(url, {"post": "yes"}).status_code == 403) != allowed
                if what != "change":  # a row's page shows it, without a form
                    assert (console.get(url).status_code == 403) != allowed
        listed = {"action": "delete_selected", "_selected_action": row, "post": "yes"}
        console.post(reverse(f"admin:{name}_changelist"), listed)
        assert list(model._default_manager.order_by("pk").values()) == before


def test_an_organisation_in_the_midst_of_a_round_cannot_be_deleted(
    console: Client, full: World
) -> None:
    """RELIABILITY 172: there is no such route, and the database refuses it as well."""
    organisation = full.sites[0].agent.organisation
    page = reverse("admin:organisations_organisation_delete", args=[organisation.pk])
    assert console.post(page, {"post": "yes"}).status_code == 403
    address = f"/api/v1/organisations/{organisation.pk}"
    assert client_of(full.lead).delete(address).status_code in {404, 405}
    with pytest.raises(ProtectedError):
        organisation.delete()


def test_the_page_of_a_copy_shows_no_token(console: Client, full: World) -> None:
    push = Push.objects.get()
    page = console.get(reverse("admin:catalogue_push_change", args=[quote(push.pk)])).text
    assert push.repo in page
    assert "sealed" not in page.lower()


def test_a_person_s_page_names_their_tokens_and_shows_none(console: Client, full: World) -> None:
    token, text = ApiToken.objects.create(user=full.lead, expiry=None, name="nightly")
    page = console.get(reverse("admin:accounts_user_change", args=[full.lead.pk])).text
    assert "nightly" in page
    assert not any(secret in page for secret in (text, token.digest, token.token_key))


def test_an_operator_makes_an_account_that_can_sign_in(console: Client) -> None:
    said = {"email": "new@example.org", "name": "New", "password1": PASSWORD}
    added = reverse("admin:accounts_user_add")
    console.post(added, {**said, "password2": PASSWORD, "is_staff": "on"})
    made = User.objects.get(email="new@example.org")
    assert not made.is_staff, "an operator is appointed by an act, with a reason"
    assert signed_in(made).get(reverse("account_email")).status_code == 200
    assert Event.objects.get(kind="person.made").subject_id == made.pk


def test_what_members_say_among_themselves_is_not_shown(console: Client, full: World) -> None:
    place = full.federation.participations.earliest("created_at")
    type(place).objects.filter(pk=place.pk).update(data_statement="Our patients of 2019.")
    Case.objects.update(evidence={"cosine": "0.98765"})
    Evaluation.objects.update(examples=54321)
    Update.objects.update(metrics={"loss": 0.13579}, evidence={"norm": 0.24680})
    shown = ""
    for model in (type(place), Case, Evaluation, Update):
        for row in model._default_manager.all():
            shown += console.get(change_url(row)).text
        shown += console.get(reverse(f"admin:{name_of(model)}_changelist")).text
    for private in ("Our patients", "0.98765", "54321", "0.13579", "0.2468"):
        assert private not in shown


def test_nobody_sets_another_s_password(console: Client) -> None:
    person = UserFactory()
    page = f"/console/accounts/user/{person.pk}/password/"
    assert console.get(page).status_code == 403
    assert console.post(page, {"password1": "x", "password2": "x"}).status_code == 403

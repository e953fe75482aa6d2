"""One world for the matrix: a federation with everything in it, and everybody who may come to it.

Nothing here was lived through: a row of every kind that an address names, put as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import uuid4

from django.test import Client

from hub.accounts.models import ApiToken, User
from hub.catalogue.models import Alias, BaseModelDraft, DraftFile, Probe, Push
from hub.contributions.models import Case, ContributionFact, Valuation
from hub.federations.models import (
    Federation,
    Participation,
    ParticipationState,
    Proposal,
    Standing,
)
from hub.notices.models import Delivery, Notice, Webhook
from hub.organisations.models import (
    Agent,
    CustomRole,
    EnrolmentCode,
    Invitation,
    Organisation,
)
from hub.organisations.permissions import GIVEN_ROLES
from hub.runs.models import Recomputation, RoundState, TaskState, UpdateState
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import ArtifactFactory, BaseModelFactory, VersionFactory, begin
from tests.factories.federations import FederationFactory, ParticipationFactory
from tests.factories.organisations import AgentFactory, MembershipFactory, OrganisationFactory
from tests.factories.runs import RoundFactory, RunFactory, TaskFactory, UpdateFactory
from tests.pages import signed_in

SECRET = "what strangers never read"


@dataclass
class Tenant:
    """An organisation, its agent, and a person in each role."""

    organisation: Organisation
    agent: Agent
    people: Mapping[str, User]
    another: User  # to be acted upon
    place: Participation | None = None  # in the federation

    @property
    def owner(self) -> User:
        return self.people["owner"]


def tenant(name: str) -> Tenant:
    organisation = OrganisationFactory(name=name.title(), slug=name)
    people = {
        role: MembershipFactory(
            organisation=organisation,
            role=role,
            user=UserFactory(name=f"{name} {role}", email=f"{role}@{name}.example"),
        ).user
        for role, _ in GIVEN_ROLES
    }
    agent = AgentFactory(organisation=organisation, name=f"{name}-vault")
    another = MembershipFactory(organisation=organisation, role="scientist").user
    return Tenant(organisation, agent, people, another)


@dataclass
class Seeded:
    """The federation is not listed: to whoever is not in it, it is not there."""

    lead: Tenant = field(default_factory=lambda: tenant("lead"))
    contributor: Tenant = field(default_factory=lambda: tenant("contributor"))
    observer: Tenant = field(default_factory=lambda: tenant("observer"))
    asking: Tenant = field(default_factory=lambda: tenant("asking"))
    outside: Tenant = field(default_factory=lambda: tenant("outside"))
    operator: User = field(default_factory=lambda: UserFactory(name="Olga", is_staff=True))

    def __post_init__(self) -> None:
        self.federation: Federation = FederationFactory(
            lead=self.lead.organisation,
            is_listed=False,
            name="Hidden",
            slug="hidden",
            purpose=SECRET,
            base_model=BaseModelFactory(slug="base-of-theirs", licence_text="Do good."),
        )
        self.lead.place = self.federation.participations.get()
        self.contributor.place = self._place(self.contributor)
        self.observer.place = self._place(self.observer, standing=Standing.OBSERVER)
        self.asking.place = self._place(self.asking, state=ParticipationState.REQUESTED)
        self._train()
        self._publish()
        self._govern()

    def _govern(self) -> None:
        now = self.round.deadline_at
        self.proposal = Proposal.objects.create(
            federation=self.federation,
            kind="dissolve",
            digest="0" * 64,
            reason=SECRET,
            proposed_by=self.lead.people["manager"],
            participation=self.lead.place,
            rule=self.federation.typed_policy.voting.model_dump(mode="json"),
            electorate=[str(self.lead.place.pk), str(self.contributor.place.pk)],
            closes_at=now,
            due_at=now,
        )
        self.notice = Notice.objects.create(
            user=self.lead.owner,
            kind="vote_open",
            object_id=self.proposal.pk,
            event=self.event,
            at=now,
            url="/",
        )
        self.own_roles, self.invitations, self.webhooks, self.deliveries = {}, {}, {}, {}
        self.codes = {}
        for of in (self.lead, self.contributor, self.observer, self.asking, self.outside):
            self._administer(of.organisation, of.owner)

    def _administer(self, of: Organisation, who: User) -> None:
        """What an organisation has for itself."""
        self.codes[of.pk] = EnrolmentCode.objects.create(
            organisation=of,
            digest=f"{of.slug:d<64}",
            created_by=who,
            expires_at=self.round.deadline_at,
        )
        self.own_roles[of.pk] = CustomRole.objects.create(organisation=of, name="Data lead")
        self.invitations[of.pk] = Invitation.objects.create(
            kind="person",
            organisation=of,
            email="somebody@else.example",
            role="scientist",
            invited_by=who,
            digest=f"{of.slug:x<64}",
            expires_at=self.round.deadline_at,
        )
        self.webhooks[of.pk] = hook = Webhook.objects.create(
            organisation=of, name=of.name, url="https://x.example", sealed_secret=b"s", made_by=who
        )
        self.deliveries[of.pk] = Delivery.objects.create(
            webhook=hook,
            event=self.event,
            kind="run.failed",
            url=hook.url,
            state="failed",
            next_at=self.round.deadline_at,
            ended_at=self.round.deadline_at,
        )

    def _place(self, of: Tenant, **columns: Any) -> Participation:
        place: Participation = ParticipationFactory(
            federation=self.federation,
            organisation=of.organisation,
            signed_by=of.owner,
            **columns,
        )
        return place

    def _train(self) -> None:
        self.run = RunFactory(federation=self.federation, created_by=self.lead.owner)
        self.version = VersionFactory(federation=self.federation)
        self.closed = RoundFactory(run=self.run, state=RoundState.CLOSED, version=self.version)
        self.round = RoundFactory(run=self.run)
        for of in (self.lead, self.contributor):
            done = self._task(of, self.closed, TaskState.COMPLETED)
            UpdateFactory(task=done, statement={"metrics": {}})
        held = self._task(self.contributor, self.round, TaskState.COMPLETED)
        self.update = UpdateFactory(task=held, state=UpdateState.QUARANTINED)
        self.tasks = {
            of.organisation.pk: self._task(of, self.round, TaskState.LEASED)
            for of in (self.lead, self.observer)
        }
        self.upload = begin(self.lead.agent, b"bytes", task_id=self._own_task(self.lead))

    def _task(self, of: Tenant, found: Any, state: str) -> Any:
        return TaskFactory(round=found, participation=of.place, agent=of.agent, state=state)

    def _own_task(self, of: Tenant) -> Any:
        found = self.tasks.get(of.organisation.pk)
        return found.pk if found else self.tasks[self.lead.organisation.pk].pk

    def _publish(self) -> None:
        who = self.lead.owner
        self.other = VersionFactory(federation=self.federation)
        self.probe = Probe.objects.create(
            federation=self.federation,
            number=1,
            artifact=ArtifactFactory(),
            form="labels",
            rows=1,
            statement=SECRET,
            licence="CC0-1.0",
            uploaded_by=who,
        )
        self.alias = Alias.objects.create(
            federation=self.federation, name="pilot", version=self.version
        )
        self.push = Push.objects.create(
            version=self.version,
            commit=self.version.commits.first(),
            endpoint="https://elsewhere.example",
            repo="lead/copy",
            sealed_token=b"sealed",
            asked_by=who,
        )
        facts = {"slug": "brought", "name": "Brought", "licence": "MIT", "licence_text": ""}
        self.draft = BaseModelDraft.objects.create(
            facts=facts, begun_by=who, organisation=self.lead.organisation
        )
        self.file = DraftFile.objects.create(
            draft=self.draft, path="config.json", sha256="b" * 64, size_bytes=9
        )
        self._judge()

    def _judge(self) -> None:
        self.recomputation = Recomputation.objects.create(
            round=self.closed, key="fedavg", method={}, method_digest="0" * 64, is_own=True
        )
        self.valuation = Valuation.objects.create(
            round=self.closed,
            number=1,
            spec={"method": "exact"},
            spec_digest="0" * 64,
            is_planned=False,
            seed="0" * 64,
        )
        self.case = Case.objects.create(
            federation=self.federation,
            run=self.run,
            round=self.closed,
            kind="zero_update",
            participations=[self.contributor.place.pk],
        )
        self.fact = ContributionFact.objects.create(
            round=self.closed, participation=self.lead.place, outcome="accepted", examples=9
        )
        self.event = self.run.record("nudged", reason=SECRET)

    @cached_property
    def members(self) -> Mapping[tuple[str, str], User]:
        """By standing and role."""
        standings = {
            Standing.LEAD: self.lead,
            Standing.CONTRIBUTOR: self.contributor,
            Standing.OBSERVER: self.observer,
        }
        return {
            (standing.value, role): person
            for standing, of in standings.items()
            for role, person in of.people.items()
        }

    def tenant_of(self, standing: str) -> Tenant:
        found: Tenant = getattr(self, standing)
        return found


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    signed_in(client, user)
    return client


def bearer(user: User, scope: str = "write") -> Client:
    _, token = ApiToken.objects.create(user=user, expiry=None, name="matrix", scope=scope)
    return Client(headers={"Authorization": f"Bearer {token}"})


def ids_of(world: Seeded, of: Tenant) -> dict[str, str]:
    """What stands for the last word before a parameter; `requests` are places not yet given."""
    found = {
        "organisations": of.organisation,
        "federations": world.federation,
        "participations": of.place or world.lead.place,
        "statements": of.place or world.lead.place,
        "requests": world.asking.place,
        "runs": world.run,
        "rewards": world.run,
        "rounds": world.closed,
        "tasks": world._own_task(of),
        "updates": world.update,
        "recomputations": world.recomputation,
        "events": world.event,
        "audit": world.event,
        "credits": uuid4(),
        "versions": world.version,
        "aliases": world.alias,
        "pushes": world.push,
        "probes": world.probe,
        "drafts": world.draft,
        "base-model-drafts": world.draft,
        "base-model-files": world.file,
        "base-models": world.federation.base_model,
        "uploads": world.upload,
        "agents": of.agent,
        "codes": world.codes[of.organisation.pk],
        "people": of.another,
        "members": of.another,
        "accept": of.organisation,
        "ledgers": world.federation,
        "valuations": world.valuation,
        "contributions": world.fact,
        "cases": world.case,
        "proposals": world.proposal,
        "roles": world.own_roles[of.organisation.pk],
        "invitations": world.invitations[of.organisation.pk],
        "webhooks": world.webhooks[of.organisation.pk],
        "webhook-deliveries": world.deliveries[of.organisation.pk],
        "deliveries": world.deliveries[of.organisation.pk],
        "notices": world.notice,
        "inbox": world.notice,
        "without": world.contributor.place,
        "tokens": of.owner.pk,
        "try": uuid4(),
    }
    return {word: _named(thing) for word, thing in found.items()}


def _named(thing: Any) -> str:
    return str(getattr(thing, "pk", thing))


def slugs_of(world: Seeded, of: Tenant) -> dict[str, str]:
    return {
        "organisations": of.organisation.slug,
        "federations": world.federation.slug,
        "base-models": world.federation.base_model.slug,
        "accept": of.organisation.slug,
        "parts": "state",
    }

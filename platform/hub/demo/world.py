"""The people, organisations and federation of a demonstration. Made once, found again later."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from hub.accounts.models import User
from hub.catalogue.bases.registering import register_packaged_model
from hub.catalogue.evaluation.probes import add_probe, current_probe
from hub.catalogue.models import BaseModel
from hub.demo.corpus import Corpus, OrganisationData
from hub.federations.models import Federation, Participation, ParticipationState
from hub.federations.services import approve_participation, create_federation, request_to_join
from hub.organisations.models import Organisation
from hub.organisations.services import approve_organisation, register_organisation
from hub.runs.models import Purpose

OPERATOR = "operator@foedus.example"
PROBE = (
    "Docstrings of Python's standard library that belong to no organisation of this "
    "demonstration. They are published with Python; nobody's private data is in them."
)
PROBE_LICENCE = "PSF-2.0"
CHARTER = """\
1. Purpose. The parties fine-tune one model together. Nobody's data leaves its owner.

2. What travels. Adapter weights, counts and metrics; never a text, a row or a path.

3. What each gives and gets is metered from signed statements and shown to all.

4. Every party may use every released version. The base model's licence applies.

5. A party may leave at any time; the record of what it gave stays.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """An organisation of the story with its participation and its data."""

    data: OrganisationData
    participation: Participation

    @property
    def organisation(self) -> Organisation:
        return self.participation.organisation


@dataclass(frozen=True, slots=True)
class World:
    federation: Federation
    places: tuple[Place, ...]
    reference: Place  # one party that holds everybody's data, to compare with
    lead: User
    password: str


def password() -> str:
    """The password of every account of the demonstration; made once, kept private."""
    file = Path(settings.HOME) / "demo-password"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9), encoding="ascii")
    return file.read_text(encoding="ascii").strip()


@transaction.atomic
def make_world(*, name: str, slug: str, corpus: Corpus) -> World:
    """The world of one story. Called again, it finds what it made."""
    word = password()
    operator = _person(OPERATOR, "Olga Operator", word, is_staff=True, is_superuser=True)
    base_model = register_packaged_model(package="minilm")
    first, *others = corpus.organisations
    lead = _owner(first, slug, word)
    federation = _federation(lead, _organisation(first, slug, lead, operator), name, base_model)
    for data in (*others, reference_data(corpus)):
        _join(federation, data, slug=slug, lead=lead, operator=operator, word=word)
    _offer_probe(federation, lead, corpus.probe)
    places = tuple(_place(federation, data, slug) for data in corpus.organisations)
    return World(
        federation=federation,
        places=places,
        reference=_place(federation, reference_data(corpus), slug),
        lead=lead,
        password=word,
    )


def reference_data(corpus: Corpus) -> OrganisationData:
    """All data in one place: what no real federation has, and what joining is measured against."""
    parts = corpus.organisations
    return OrganisationData(
        name=str(Purpose.REFERENCE.label),
        slug="reference",
        subject="the data of all, for comparison",
        rank=max(part.rank for part in parts),
        folder=corpus.pooled,
        train_examples=sum(part.train_examples for part in parts),
        test_examples=sum(part.test_examples for part in parts),
    )


def _person(email: str, name: str, word: str, **flags: bool) -> User:
    found = User.objects.filter(email=email).first()
    return found or User.objects.create_user(email, word, name=name, **flags)


def owner_email(data: OrganisationData, slug: str) -> str:
    return f"owner@{data.slug}.{slug}.example"


def _owner(data: OrganisationData, slug: str, word: str) -> User:
    return _person(owner_email(data, slug), f"Owner of {data.name}", word)


def _organisation(data: OrganisationData, slug: str, owner: User, operator: User) -> Organisation:
    """Found by its owner, so that two stories may have organisations of one name."""
    found = Organisation.objects.filter(memberships__user=owner).first()
    if found is not None:
        return found
    taken = Organisation.objects.filter(name=data.name).exists()
    made = register_organisation(
        user=owner,
        name=f"{data.name} ({slug})" if taken else data.name,
        description=data.subject,
        contact_email=owner.email,
    )
    approve_organisation(organisation_id=made.pk, actor=operator.actor)
    made.refresh_from_db()
    return made


def _federation(
    lead: User, organisation: Organisation, name: str, base_model: BaseModel
) -> Federation:
    found = Federation.objects.filter(
        participations__organisation=organisation, participations__standing="lead", name=name
    ).first()
    return found or create_federation(
        user=lead,
        organisation_id=organisation.pk,
        name=name,
        purpose="A demonstration: several organisations, one model, no shared data.",
        charter=CHARTER,
        base_model_id=base_model.pk,
    )


def _join(
    federation: Federation,
    data: OrganisationData,
    *,
    slug: str,
    lead: User,
    operator: User,
    word: str,
) -> None:
    owner = _owner(data, slug, word)
    organisation = _organisation(data, slug, owner, operator)
    places = federation.participations.filter(organisation=organisation)
    if places.exclude(state=ParticipationState.LEFT).exists():
        return
    asked = request_to_join(
        user=owner,
        organisation_id=organisation.pk,
        federation_id=federation.pk,
        charter_digest=federation.charter_digest,
        rank=data.rank,
    )
    approve_participation(user=lead, participation_id=asked.pk)


def _offer_probe(federation: Federation, lead: User, content: bytes) -> None:
    """The lead uploads what everybody may read, unless the federation has a set in use."""
    if content and current_probe(federation) is None:
        add_probe(
            user=lead,
            federation_id=federation.pk,
            content=content,
            statement=PROBE,
            licence=PROBE_LICENCE,
        )


def _place(federation: Federation, data: OrganisationData, slug: str) -> Place:
    participation = federation.participations.select_related("organisation").get(
        organisation__memberships__user__email=owner_email(data, slug)
    )
    return Place(data=data, participation=participation)

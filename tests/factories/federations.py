from __future__ import annotations

import factory
from django.utils import timezone
from factory import LazyAttribute, LazyFunction, Sequence, SubFactory

from hub.federations.models import (
    CharterVersion,
    Federation,
    Participation,
    ParticipationState,
    Signature,
    Standing,
)
from hub.organisations.models import Organisation
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import BaseModelFactory
from tests.factories.organisations import MembershipFactory, OrganisationFactory


class FederationFactory(factory.django.DjangoModelFactory[Federation]):
    """A federation and its lead: the organisation given as `lead`, or one with a new owner."""

    class Meta:
        model = Federation
        skip_postgeneration_save = True

    name = Sequence(lambda n: f"Federation {n}")
    slug = Sequence(lambda n: f"federation-{n}")
    charter = "1. Nobody's data leaves its owner."
    base_model = SubFactory(BaseModelFactory)

    @factory.post_generation
    def lead(self: Federation, create: bool, extracted: Organisation | None, **_: object) -> None:
        organisation = extracted or MembershipFactory().organisation
        CharterVersion.objects.create(
            federation=self, number=1, text=self.charter, digest=self.charter_digest
        )
        ParticipationFactory(
            federation=self,
            organisation=organisation,
            standing=Standing.LEAD,
            signed_by=organisation.members.first(),
        )


class ParticipationFactory(factory.django.DjangoModelFactory[Participation]):
    class Meta:
        model = Participation
        skip_postgeneration_save = True

    federation = SubFactory(FederationFactory)
    organisation = SubFactory(OrganisationFactory)
    state = ParticipationState.ACTIVE
    charter_digest = LazyAttribute(lambda place: place.federation.charter_digest)
    charter_number = LazyAttribute(lambda place: place.federation.charter_number)
    signed_by = SubFactory(UserFactory)
    signed_at = LazyFunction(timezone.now)

    @factory.post_generation
    def signature(self: Participation, create: bool, extracted: object, **_: object) -> None:
        version = self.federation.charter_versions.get(number=self.charter_number)
        Signature.objects.create(
            participation=self,
            version=version,
            signed_by=self.signed_by,
            signed_at=self.signed_at,
        )

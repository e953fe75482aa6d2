from __future__ import annotations

import factory
from django.utils import timezone
from factory import LazyAttribute, LazyFunction, Sequence, SubFactory

from hub.federations.models import Federation, Participation, ParticipationState, Standing
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
        ParticipationFactory(
            federation=self,
            organisation=organisation,
            standing=Standing.LEAD,
            signed_by=organisation.members.first(),
        )


class ParticipationFactory(factory.django.DjangoModelFactory[Participation]):
    class Meta:
        model = Participation

    federation = SubFactory(FederationFactory)
    organisation = SubFactory(OrganisationFactory)
    state = ParticipationState.ACTIVE
    charter_digest = LazyAttribute(lambda place: place.federation.charter_digest)
    signed_by = SubFactory(UserFactory)
    signed_at = LazyFunction(timezone.now)

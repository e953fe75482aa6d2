from __future__ import annotations

from typing import Any

import factory
from factory import Faker, LazyFunction, Sequence, SubFactory

from federation.signatures import generate_private_key, key_id, public_key_of
from hub.organisations.models import (
    Agent,
    AgentKey,
    Membership,
    Organisation,
    OrganisationState,
    Role,
)
from tests.factories.accounts import UserFactory


class OrganisationFactory(factory.django.DjangoModelFactory[Organisation]):
    class Meta:
        model = Organisation

    name = Sequence(lambda n: f"Organisation {n}")
    slug = Sequence(lambda n: f"organisation-{n}")
    contact_email = Faker("email")
    state = OrganisationState.APPROVED


class MembershipFactory(factory.django.DjangoModelFactory[Membership]):
    class Meta:
        model = Membership

    user = SubFactory(UserFactory)
    organisation = SubFactory(OrganisationFactory)
    role = Role.OWNER


class AgentFactory(factory.django.DjangoModelFactory[Agent]):
    """An enrolled agent; `agent.private_key` signs for it."""

    class Meta:
        model = Agent

    organisation = SubFactory(OrganisationFactory)
    name = Sequence(lambda n: f"vault-{n}")
    private_key = LazyFunction(generate_private_key)

    @classmethod
    def _create(cls, model_class: Any, *args: Any, private_key: bytes, **columns: Any) -> Agent:
        public_key = public_key_of(private_key)
        columns = {"key_id": key_id(public_key), **columns}
        agent = super()._create(model_class, *args, **columns)
        AgentKey.objects.create(agent=agent, public_key=public_key, key_id=agent.key_id)
        agent.private_key = private_key
        return agent

from __future__ import annotations

from django_filters import rest_framework as filters

from hub.organisations.models import Agent, Invitation, Organisation


class OrganisationFilter(filters.FilterSet):  # type: ignore[misc]  # no types
    class Meta:
        model = Organisation
        fields = ("state", "slug")


class AgentFilter(filters.FilterSet):  # type: ignore[misc]  # no types
    class Meta:
        model = Agent
        fields = ("organisation", "state")


class InvitationFilter(filters.FilterSet):  # type: ignore[misc]  # no types
    class Meta:
        model = Invitation
        fields = ("kind", "state", "organisation", "federation")

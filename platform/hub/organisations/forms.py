"""Forms of organisations, their people and their agents."""

from __future__ import annotations

from typing import Any

from django import forms

from hub.accounts.models import User
from hub.common.forms import LineField, OnceForm
from hub.organisations.models import Organisation
from hub.organisations.permissions import GIVEN_ROLES, Permission, Role
from hub.organisations.selectors import organisations_where


class OrganisationForm(OnceForm):
    name = LineField(
        label="Name",
        max_length=120,
        help_text="As it is registered: other organisations decide by it whom they let in.",
    )
    description = LineField(
        label="What it does",
        max_length=500,
        required=False,
        help_text="One sentence for those who do not know it.",
    )
    contact_email = forms.EmailField(
        label="Contact",
        required=False,
        help_text="Where others reach you when an agent is silent. Empty: your own address.",
    )


class MemberForm(forms.Form):
    email = forms.EmailField(label="Email address", help_text="They sign up first.")
    role = forms.ChoiceField(choices=GIVEN_ROLES, initial=Role.SCIENTIST, label="Role")


class EnrolForm(forms.Form):
    """For which organisation a new agent works."""

    organisation = forms.ModelChoiceField(
        Organisation.objects.none(), label="Organisation", empty_label=None
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["organisation"].queryset = organisations_where(user, Permission.MANAGE_AGENTS)  # type: ignore[attr-defined]


class AgentNameForm(forms.Form):
    name = LineField(label="Name", max_length=80)

"""Forms of organisations, their people and their agents."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.db.models import QuerySet
from django.utils.functional import lazy
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.accounts.validators import LONGEST_PASSWORD, Rules
from hub.common.forms import LineField, OnceForm
from hub.organisations.models import Organisation
from hub.organisations.permissions import GIVEN_ROLES, Permission, Role
from hub.organisations.selectors import organisations_where

rules = lazy(Rules().get_help_text, str)  # in the reader's language


class WebsiteField(forms.URLField):
    """An address as people type it: where it says no scheme, it is https.

    So it is no `type=url`: a browser would refuse `www.niels.example` before we see it.
    """

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"inputmode": "url", "autocomplete": "url"})
        said = {"label": _lazy("Website"), "max_length": 200, "required": False, "widget": widget}
        super().__init__(**{**said, "assume_scheme": "https", **options})


class OrganisationForm(OnceForm):
    name = LineField(
        label=_lazy("Name"),
        max_length=120,
        help_text=_lazy("As it is registered: other organisations decide by it whom they let in."),
    )
    description = LineField(
        label=_lazy("What it does"),
        max_length=500,
        required=False,
        help_text=_lazy("One sentence for those who do not know it."),
    )
    website = WebsiteField(help_text=_lazy("There the operator sees who you are."))
    country = LineField(label=_lazy("Country"), max_length=60, required=False)
    contact_email = forms.EmailField(
        label=_lazy("Contact"),
        max_length=254,
        required=False,
        help_text=_lazy("Where others reach you when an agent is silent. Empty: your own address."),
    )


class PasswordField(forms.CharField):
    """A password to be; checked against the rules by `checked_password`."""

    widget = forms.PasswordInput

    def __init__(self, *, autocomplete: str, **options: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(widget=widget, strip=False, max_length=LONGEST_PASSWORD, **options)


class RegistrationForm(forms.Form):
    """An organisation and the person who is to own it, from outside."""

    name = LineField(
        label=_lazy("Name of the organisation"),
        max_length=120,
        help_text=_lazy("As it is registered: other organisations decide by it whom they let in."),
    )
    description = LineField(
        label=_lazy("What it does"),
        max_length=500,
        help_text=_lazy("One sentence for those who do not know it."),
    )
    website = WebsiteField(help_text=_lazy("There the operator sees who you are."))
    country = LineField(label=_lazy("Country"), max_length=60, required=False)
    contact_email = forms.EmailField(
        label=_lazy("Contact"),
        max_length=254,
        required=False,
        help_text=_lazy("Where others reach you when an agent is silent. Empty: your own address."),
    )
    person = LineField(
        label=_lazy("Your name"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    email = forms.EmailField(
        label=_lazy("Your e-mail address"),
        max_length=254,
        help_text=_lazy("You sign in with it. The operator sees its domain beside the website."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = PasswordField(
        label=_lazy("Password"),
        autocomplete="new-password",
        help_text=rules(),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        check_password(self, cleaned.get("email", ""), cleaned.get("person", ""))
        return cleaned

    @property
    def profile(self) -> dict[str, str]:
        names = ("name", "description", "website", "country", "contact_email")
        return {name: self.cleaned_data[name] for name in names}


def check_password(form: forms.Form, email: str, name: str) -> None:
    """Put what the rules say against `password` beside its field."""
    password = form.cleaned_data.get("password")
    if password is not None:
        try:
            validate_password(password, User(email=email, name=name))
        except forms.ValidationError as refused:
            form.add_error("password", refused)


class ConfirmForm(forms.Form):
    password = PasswordField(
        label=_lazy("Password"),
        autocomplete="current-password",
        help_text=_lazy("The one that you chose in the form, so that nobody else can hand it in."),
    )


class InvitedForm(forms.Form):
    """Who has no account makes one on the way; the address is the invitation's."""

    person = LineField(
        label=_lazy("Your name"),
        max_length=120,
        help_text=_lazy("It stands beside what you do and sign, for all who see it."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = PasswordField(
        label=_lazy("Password"),
        autocomplete="new-password",
        help_text=rules(),
    )

    def __init__(self, *args: Any, email: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.email = email

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        check_password(self, self.email, cleaned.get("person", ""))
        return cleaned


class ProfileForm(forms.Form):
    """What an organisation says of itself; its name was approved, and stays."""

    description = LineField(
        label=_lazy("What it does"),
        max_length=500,
        required=False,
        help_text=_lazy("One sentence for those who do not know it."),
    )
    website = WebsiteField()
    country = LineField(label=_lazy("Country"), max_length=60, required=False)
    contact_email = forms.EmailField(
        label=_lazy("Contact"),
        max_length=254,
        help_text=_lazy("Where others reach you when an agent is silent."),
    )


class RoleChoice(forms.ChoiceField):
    """A role that every organisation has, by its name, or one of its own, by its id.

    Cleaned, it is what services take: `role` and `custom_role_id`.
    """

    def offer(self, organisation: Organisation) -> None:
        own = [(str(role.pk), role.name) for role in organisation.custom_roles.all()]
        self.choices = [*GIVEN_ROLES, *own]

    def clean(self, value: Any) -> dict[str, Any]:
        chosen = super().clean(value)
        if chosen in dict(GIVEN_ROLES):
            return {"role": chosen, "custom_role_id": None}
        return {"role": "", "custom_role_id": UUID(chosen)}


class PersonForm(forms.Form):
    """Whom an organisation invites, and to which role."""

    email = forms.EmailField(
        max_length=254, label=_lazy("E-mail address"), help_text=_lazy("A link goes there.")
    )
    role = RoleChoice(initial=Role.SCIENTIST, label=_lazy("Role"))

    def __init__(self, *args: Any, organisation: Organisation, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"].offer(organisation)  # type: ignore[attr-defined]


class GivenRoleForm(forms.Form):
    role = RoleChoice(label=_lazy("Role"))

    def __init__(self, *args: Any, organisation: Organisation, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["role"].offer(organisation)  # type: ignore[attr-defined]


class OwnRoleForm(forms.Form):
    """A role of the organisation's own."""

    name = LineField(
        label=_lazy("Name"), max_length=60, help_text=_lazy("As people say it: «Ward data lead».")
    )
    permissions = forms.MultipleChoiceField(
        label=_lazy("Whoever has it may"),
        choices=Permission.choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )


class ComingForm(forms.Form):
    """Which of their organisations somebody brings along."""

    organisation = forms.ModelChoiceField(
        Organisation.objects.none(), label=_lazy("Organisation"), empty_label=None
    )

    def __init__(self, *args: Any, coming: QuerySet[Organisation], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["organisation"].queryset = coming  # type: ignore[attr-defined]


class EnrolForm(forms.Form):
    """For which organisation a new agent works."""

    organisation = forms.ModelChoiceField(
        Organisation.objects.none(), label=_lazy("Organisation"), empty_label=None
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["organisation"].queryset = organisations_where(user, Permission.MANAGE_AGENTS)  # type: ignore[attr-defined]


class AgentNameForm(forms.Form):
    name = LineField(label=_lazy("Name"), max_length=80)

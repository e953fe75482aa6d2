"""What sign-up asks beside address and password, and forms of the account pages."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest

from hub.accounts.factors import remember_password
from hub.accounts.models import Scope, User
from hub.common.forms import LineField

LIVES = [(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "a year")]


class NameForm(forms.Form):
    """The base of allauth's sign-up form."""

    name = LineField(
        label="Your name",
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ("name", "email", "password1")

    def signup(self, request: HttpRequest, user: User) -> None:
        """Called by allauth once the account is there."""
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])
        if user.has_usable_password():
            remember_password(request, user)


class ProfileForm(forms.Form):
    name = LineField(
        label="Your name",
        max_length=120,
        help_text="It stands beside what you do and sign, for all who see it.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )


class TokenForm(forms.Form):
    name = LineField(label="Name", max_length=80, help_text="What will use it.")
    days = forms.TypedChoiceField(label="Lives for", coerce=int, choices=LIVES, initial=90)
    scope = forms.ChoiceField(label="May", choices=Scope.choices, initial=Scope.READ)

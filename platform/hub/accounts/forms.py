"""What sign-up asks beside address and password, and forms of the account pages."""

from __future__ import annotations

from typing import Any

from allauth.mfa.base.forms import AuthenticateForm
from django import forms
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.factors import remember_password
from hub.accounts.models import Scope, User
from hub.common.forms import LineField

LIVES = [
    (7, _lazy("7 days")),
    (30, _lazy("30 days")),
    (90, _lazy("90 days")),
    (365, _lazy("a year")),
]


class NameForm(forms.Form):
    """The base of allauth's sign-up form."""

    name = LineField(
        label=_lazy("Your name"),
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


class CodeForm(AuthenticateForm):  # type: ignore[misc]  # allauth has no types
    """The second step of signing in; who has lost the app has to hear of the other way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].help_text = _lazy(
            "The six digits that your app shows, or one of your recovery codes."
        )


class ProfileForm(forms.Form):
    name = LineField(
        label=_lazy("Your name"),
        max_length=120,
        help_text=_lazy("It stands beside what you do and sign, for all who see it."),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    language = forms.ChoiceField(
        label=_lazy("Language"),
        required=False,
        choices=[("", _lazy("As your browser asks")), *settings.LANGUAGES],
        help_text=_lazy("Of pages, and of the mails that you get."),
    )


class LanguageForm(forms.Form):
    """Sent from the foot of every page."""

    language = forms.ChoiceField(choices=settings.LANGUAGES)


class TokenForm(forms.Form):
    name = LineField(label=_lazy("Name"), max_length=80, help_text=_lazy("What will use it."))
    days = forms.TypedChoiceField(label=_lazy("Lives for"), coerce=int, choices=LIVES, initial=90)
    scope = forms.ChoiceField(label=_lazy("May"), choices=Scope.choices, initial=Scope.READ)

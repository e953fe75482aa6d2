"""What sign-up asks beside address and password."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest

from hub.accounts.models import User
from hub.common import text


class NameForm(forms.Form):
    """The base of allauth's sign-up form."""

    name = forms.CharField(
        label="Your name",
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    field_order = ("name", "email", "password1")

    def clean_name(self) -> str:
        try:
            return text.line(self.cleaned_data["name"], least=1, most=120)
        except text.UnfitText as unfit:
            raise forms.ValidationError(unfit.detail, code=unfit.code) from unfit

    def signup(self, request: HttpRequest, user: User) -> None:  # noqa: ARG002 (allauth's call)
        """Called by allauth once the account is there."""
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])

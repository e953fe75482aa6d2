"""The steps by which a federation is founded; what they know together founds it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.common.forms import LineField, OnceForm, ParagraphsField
from hub.federations.charters.licences import has_accepted_base
from hub.federations.charters.policyforms import PolicyForm, as_initial
from hub.federations.charters.services import LONGEST_CHARTER
from hub.federations.forms import BaseModelField
from hub.federations.models import Federation
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where

TEMPLATE = "federations/charter.txt"
# A higher app: only the database follows this arrow.
BASES: Any = Federation._meta.get_field("base_model").related_model  # noqa: SLF001


def charter_template() -> str:
    """The words that a charter may begin with."""
    return render_to_string(TEMPLATE).strip()


class AboutForm(forms.Form):
    """Who founds it, what it is called, and what it is for."""

    organisation = forms.ModelChoiceField(
        Organisation.objects.none(),
        label=_lazy("Lead organisation"),
        empty_label=None,
        help_text=_lazy("It invites others, and is the first to sign."),
    )
    name = LineField(
        label=_lazy("Name"), max_length=120, help_text=_lazy("What all parties will call it.")
    )
    purpose = ParagraphsField(
        label=_lazy("Purpose"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_lazy("One or two sentences. Whoever may find the federation reads them."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        founding = organisations_where(user, Permission.FOUND_FEDERATIONS)
        self.fields["organisation"].queryset = founding  # type: ignore[attr-defined]


class BaseForm(forms.Form):
    """What it starts from, and under which licence."""

    base_model = BaseModelField(
        BASES.objects.all(),
        empty_label=None,
        label=_lazy("Base model"),
        help_text=_lazy("It stays as it is; runs train a small adapter over it."),
    )
    accept = forms.BooleanField(
        required=False,
        label=_lazy(
            "We have read the licence of this base model and accept it for our organisation."
        ),
        help_text=_lazy(
            "Needed where the licence says so. Who accepted it, when, and the digest of its "
            "text are kept."
        ),
    )

    def __init__(self, *args: Any, organisation: Organisation | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organisation = organisation

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        base = cleaned.get("base_model")
        cleaned["licence_digest"] = base.licence_digest if base and cleaned.get("accept") else ""
        if base and self._is_lacking(base, cleaned["licence_digest"]):
            said = _("%(licence)s has to be accepted to use %(name)s.")
            self.add_error("accept", said % {"licence": base.licence, "name": base.name})
        return cleaned

    def _is_lacking(self, base: Any, licence_digest: str) -> bool:
        if licence_digest or self.organisation is None:
            return False
        return not has_accepted_base(base, self.organisation)


class CharterForm(forms.Form):
    """What every member signs."""

    charter = ParagraphsField(
        label=_lazy("Charter"),
        max_length=LONGEST_CHARTER,
        widget=forms.Textarea(attrs={"rows": 24}),
        help_text=_lazy(
            "These words are a start, not advice. Let a lawyer read them, and put your "
            "own in. A later change needs a decision of the members and fresh signatures of all."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {"charter": charter_template(), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)


class RulesForm(PolicyForm):
    """The policy, with what is suggested for new federations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["initial"] = {**as_initial(), **(kwargs.get("initial") or {})}
        super().__init__(*args, **kwargs)


class SealForm(OnceForm):
    """The signature under all of it."""

    agree = forms.BooleanField(
        label=_lazy("We have read all of this and sign the charter for our organisation."),
        help_text=_lazy(
            "Your name, the time and the digest of the text are kept as the signature."
        ),
    )

"""Forms of federations and the places in them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.utils.html import format_html

from hub.accounts.models import User
from hub.common.forms import LineField, OnceForm, ParagraphsField
from hub.federations.models import Federation
from hub.federations.selectors import organisations_to_join
from hub.federations.services import LARGEST_RANK, LONGEST_CARD_TEXT, MOST_EXAMPLES
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where

CHARTER = "federations/charter.txt"


class BaseModelField(forms.ModelChoiceField[Any]):
    """A base model with what one must know to choose it: licence and size."""

    widget = forms.RadioSelect

    def label_from_instance(self, obj: Any) -> str:
        facts = "{} · {:.1f} million parameters · licence {}"
        about = facts.format(obj.architecture, obj.parameters / 1e6, obj.licence)
        return format_html('<span>{} <span class="soft small">{}</span></span>', obj.name, about)


class FederationForm(OnceForm, forms.ModelForm[Federation]):
    """What a federation is founded with; the service does it."""

    organisation = forms.ModelChoiceField(
        Organisation.objects.none(),
        label="Lead organisation",
        empty_label=None,
        help_text="It decides who is let in, and signs the charter with this form.",
    )

    class Meta:
        model = Federation
        fields = ("name", "purpose", "base_model", "charter", "is_listed")
        field_classes = {
            "name": LineField,
            "purpose": ParagraphsField,
            "charter": ParagraphsField,
            "base_model": BaseModelField,
        }
        widgets = {
            "purpose": forms.Textarea(attrs={"rows": 3}),
            "charter": forms.Textarea(attrs={"rows": 18}),
            "base_model": forms.RadioSelect,
        }
        labels = {"is_listed": "Listed: other organisations can find it and ask to join"}
        help_texts = {
            "name": "What all parties will call it.",
            "purpose": "One or two sentences. Whoever may find the federation reads them.",
            "charter": "What every organisation signs. It cannot be changed afterwards, so read it "
            "once more.",
            "is_listed": "Unlisted, it is your organisation's alone: good for trying things out.",
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        founding = organisations_where(user, Permission.FOUND_FEDERATIONS)
        self.fields["organisation"].queryset = founding  # type: ignore[attr-defined]
        self.fields["base_model"].empty_label = None  # type: ignore[attr-defined]
        self.fields["charter"].initial = render_to_string(CHARTER)

    def service_fields(self) -> dict[str, Any]:
        """What `create_federation` takes."""
        given = dict(self.cleaned_data)
        organisation, base_model = given.pop("organisation"), given.pop("base_model")
        return {**given, "organisation_id": organisation.pk, "base_model_id": base_model.pk}


class JoinForm(forms.Form):
    """An organisation's signature under the charter."""

    organisation = forms.ModelChoiceField(
        Organisation.objects.none(), label="Organisation", empty_label=None
    )
    rank = forms.IntegerField(
        label="Largest adapter rank",
        required=False,
        min_value=1,
        max_value=LARGEST_RANK,
        help_text="How large an adapter your hardware should train. Empty: as large as each run "
        "asks for. You can change it at any time.",
    )
    charter_digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    agree = forms.BooleanField(
        label="We have read the charter and sign it for this organisation.",
        help_text="Your name, the time and the digest of the text are kept as the signature.",
    )

    def __init__(self, *args: Any, user: User, federation: Federation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["charter_digest"].initial = federation.charter_digest
        self.fields["organisation"].queryset = organisations_to_join(user, federation)  # type: ignore[attr-defined]

    def service_fields(self) -> dict[str, Any]:
        """What `request_to_join` takes beside person and federation."""
        given = self.cleaned_data
        return {
            "organisation_id": given["organisation"].pk,
            "charter_digest": given["charter_digest"],
            "rank": given["rank"],
        }


class DeclarationForm(forms.Form):
    """How many examples there are, at most; an owner signs it by sending it."""

    train_examples = forms.IntegerField(min_value=0, max_value=MOST_EXAMPLES)
    test_examples = forms.IntegerField(min_value=0, max_value=MOST_EXAMPLES)


class StatementForm(forms.Form):
    statement = ParagraphsField(max_length=LONGEST_CARD_TEXT, required=False)


class DescriptionForm(forms.ModelForm[Federation]):
    """What the card of every later version says of the federation's models."""

    class Meta:
        model = Federation
        fields = ("intended_use", "limits")
        field_classes = {"intended_use": ParagraphsField, "limits": ParagraphsField}
        widgets = {
            "intended_use": forms.Textarea(attrs={"rows": 6}),
            "limits": forms.Textarea(attrs={"rows": 6}),
        }
        labels = {"intended_use": "What the models are for", "limits": "Limits"}
        help_texts = {
            "intended_use": "Who should use them, and for what.",
            "limits": "For what they must not be used, and where they are known to be wrong.",
        }


class RankForm(forms.Form):
    rank = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_RANK)

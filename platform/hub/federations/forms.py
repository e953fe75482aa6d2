"""Forms of federations and the places in them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from hub.common.forms import ParagraphsField
from hub.federations.models import Federation
from hub.federations.services import LARGEST_RANK, LONGEST_CARD_TEXT, MOST_EXAMPLES


class BaseModelField(forms.ModelChoiceField[Any]):
    """A base model with what one must know to choose it: licence and size."""

    widget = forms.RadioSelect

    def label_from_instance(self, obj: Any) -> str:
        about = _("%(architecture)s · %(millions)s million parameters · licence %(licence)s") % {
            "architecture": obj.architecture,
            "millions": f"{obj.parameters / 1e6:.1f}",
            "licence": obj.licence,
        }
        return format_html('<span>{} <span class="soft small">{}</span></span>', obj.name, about)


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
        labels = {"intended_use": _lazy("What the models are for"), "limits": _lazy("Limits")}
        help_texts = {
            "intended_use": _lazy("Who should use them, and for what."),
            "limits": _lazy(
                "For what they must not be used, and where they are known to be wrong."
            ),
        }


class RankForm(forms.Form):
    rank = forms.IntegerField(required=False, min_value=1, max_value=LARGEST_RANK)

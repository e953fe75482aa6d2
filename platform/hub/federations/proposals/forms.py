"""Forms by which people make proposals; `terms` is what their kind checks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.common.forms import LineField, ParagraphsField
from hub.federations.models import (
    Choice,
    Federation,
    Participation,
    ParticipationState,
    Standing,
)
from hub.federations.selectors import active_participations
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where


class ReasonForm(forms.Form):
    """Why something is proposed; those who vote read it."""

    reason = ParagraphsField(
        max_length=450, label=_lazy("Why"), help_text=_lazy("Everybody in the federation reads it.")
    )

    def clean_reason(self) -> str:
        """One line: it stands in sentences."""
        return " ".join(str(self.cleaned_data["reason"]).split())


class VoteForm(forms.Form):
    """A voice, and for which place it is given."""

    choice = forms.ChoiceField(choices=Choice.choices)
    reason = LineField(max_length=450, required=False)
    participation = forms.UUIDField(required=False)


class PlainForm(forms.Form):
    """Of a kind that has no terms."""

    def __init__(self, *given: Any, federation: Federation, user: User, **named: Any) -> None:
        super().__init__(*given, **named)
        self.federation, self.user = federation, user

    @property
    def has_nothing_to_choose(self) -> bool:
        """Whether there is nothing now of which it could be proposed."""
        fields = (f for f in self.fields.values() if isinstance(f, forms.ModelChoiceField))
        return any(field.queryset is not None and not field.queryset.exists() for field in fields)

    def terms(self) -> dict[str, Any]:
        return {}


class PlaceForm(PlainForm):
    """Of a kind that is about one organisation, whose place is in one of these states."""

    participation = forms.ModelChoiceField(
        Participation.objects.none(), label=_lazy("Organisation"), empty_label=None
    )

    def __init__(self, *given: Any, states: tuple[ParticipationState, ...], **named: Any) -> None:
        super().__init__(*given, **named)
        field: Any = self.fields["participation"]
        places = self.federation.participations.filter(state__in=states)
        field.queryset = places.exclude(standing=Standing.LEAD).select_related("organisation")
        field.label_from_instance = lambda place: place.organisation.name

    @classmethod
    def of(cls, *states: ParticipationState) -> Callable[..., forms.Form]:
        return partial(cls, states=states)

    def terms(self) -> dict[str, Any]:
        return {"participation": str(self.cleaned_data["participation"].pk)}


class OwnPlaceForm(PlainForm):
    """Of a kind by which an organisation offers something of its own."""

    participation = forms.ModelChoiceField(
        Participation.objects.none(), label=_lazy("Organisation"), empty_label=None
    )

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        field: Any = self.fields["participation"]
        able = organisations_where(self.user, Permission.VOTE)
        active = active_participations(self.federation.pk).filter(organisation__in=able)
        field.queryset = active.filter(standing=Standing.CONTRIBUTOR)
        field.label_from_instance = lambda place: place.organisation.name

    def terms(self) -> dict[str, Any]:
        return {"participation": str(self.cleaned_data["participation"].pk)}

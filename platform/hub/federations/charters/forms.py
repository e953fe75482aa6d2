"""Forms by which organisations sign, join, and propose another text."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.common.forms import ParagraphsField
from hub.federations.charters.joining import LARGEST_RANK
from hub.federations.charters.services import LONGEST_CHARTER
from hub.federations.models import Federation, Standing
from hub.federations.selectors import organisations_to_join
from hub.organisations.models import Invitation, Organisation
from hub.organisations.selectors import invitations_for

AS = [
    (
        Standing.CONTRIBUTOR.value,
        _lazy("Contributor: its agents train, and it has a voice in votes"),
    ),
    (
        Standing.OBSERVER.value,
        _lazy("Observer: it sees all that members see, gets no tasks and no voice"),
    ),
]


class SignForm(forms.Form):
    """An organisation's signature under the charter, with the licence that is to be accepted."""

    charter_digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    licence_digest = forms.CharField(max_length=64, widget=forms.HiddenInput, required=False)
    accept = forms.BooleanField()
    agree = forms.BooleanField(
        label=_lazy("We have read the charter and sign it for this organisation."),
        help_text=_lazy(
            "Your name, the time and the digest of the text are kept as the signature."
        ),
    )

    def __init__(
        self, *args: Any, federation: Federation, is_accepted: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["charter_digest"].initial = federation.charter_digest
        base = federation.base_model
        if is_accepted:
            del self.fields["accept"], self.fields["licence_digest"]
            return
        self.fields["licence_digest"].initial = base.licence_digest
        accept = self.fields["accept"]
        accept.label = _("We accept %(licence)s, the licence of %(name)s.") % {
            "licence": base.licence,
            "name": base.name,
        }
        accept.help_text = _("Its text is on the page of the base model. It is accepted only once.")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned.setdefault("licence_digest", "")
        return cleaned


class JoinForm(SignForm):
    """The same, by an organisation that wants to take part."""

    organisation = forms.ModelChoiceField(
        Organisation.objects.none(), label=_lazy("Organisation"), empty_label=None
    )
    standing = forms.ChoiceField(
        label=_lazy("As"), choices=AS, initial=Standing.CONTRIBUTOR, widget=forms.RadioSelect
    )
    rank = forms.IntegerField(
        label=_lazy("Largest adapter rank"),
        required=False,
        min_value=1,
        max_value=LARGEST_RANK,
        help_text=_lazy(
            "How large an adapter your hardware should train. Empty: as large as each run "
            "asks for. You can change it at any time."
        ),
    )
    field_order = ("organisation", "standing", "rank", "accept", "agree")

    def __init__(self, *args: Any, user: User, federation: Federation, **kwargs: Any) -> None:
        joining = organisations_to_join(user, federation)
        base = federation.base_model
        lacking = base.must_accept and joining.exclude(accepted_licences__base_model=base).exists()
        super().__init__(*args, federation=federation, is_accepted=not lacking, **kwargs)
        self.fields["organisation"].queryset = joining  # type: ignore[attr-defined]
        self.fields["standing"].required = False
        self.invitation = _the_invitation(joining, federation)
        if self.invitation is not None:  # says as what
            del self.fields["standing"]

    def service_fields(self) -> dict[str, Any]:
        """What `request_to_join` takes beside person and federation."""
        given = self.cleaned_data
        return {
            "organisation_id": given["organisation"].pk,
            "charter_digest": given["charter_digest"],
            "licence_digest": given["licence_digest"],
            "rank": given["rank"],
            "standing": given.get("standing") or Standing.CONTRIBUTOR,
        }


def _the_invitation(joining: QuerySet[Organisation], federation: Federation) -> Invitation | None:
    """By which the only organisation that can join takes part at once."""
    only = joining[:2]
    if len(only) != 1:
        return None
    return invitations_for(only[0]).filter(federation_id=federation.pk).first()


class CharterChangeForm(forms.Form):
    """Another text in the place of the present one, as members propose it."""

    text = ParagraphsField(
        label=_lazy("Charter"),
        max_length=LONGEST_CHARTER,
        widget=forms.Textarea(attrs={"rows": 24}),
        help_text=_lazy(
            "Once it is accepted, every member has to sign it. Until all have, no round opens."
        ),
    )

    def __init__(self, *given: Any, federation: Federation, user: User, **named: Any) -> None:
        super().__init__(*given, **{"initial": {"text": federation.charter}, **named})
        self.federation, self.user = federation, user

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if text == self.federation.charter:
            raise forms.ValidationError(_("This is the text that is in force: change something."))
        return text

    def terms(self) -> dict[str, Any]:
        return {"text": self.cleaned_data["text"]}

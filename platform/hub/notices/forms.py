"""Forms of notices and webhooks."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _lazy

from hub.common.forms import LineField, OnceForm
from hub.federations.models import Federation
from hub.notices.kinds import CHOICES, OFFERED
from hub.notices.models import Channel, NoticeSettings
from hub.notices.selectors import channels_of

HOURS = [(hour, f"{hour:02}:00 UTC") for hour in range(24)]


class FilterForm(forms.Form):
    """What of the news is shown; what makes no sense filters nothing."""

    kind = forms.ChoiceField(
        choices=[("", _lazy("All kinds")), *CHOICES], label=_lazy("Kind"), required=False
    )
    federation = forms.ModelChoiceField(
        Federation.objects.none(),
        label=_lazy("Federation"),
        required=False,
        empty_label=_lazy("All federations"),
        to_field_name="slug",
    )

    def __init__(self, *args: Any, federations: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["federation"].queryset = federations  # type: ignore[attr-defined]

    @property
    def chosen(self) -> dict[str, Any]:
        cleaned = self.cleaned_data if self.is_valid() else {}
        return {name: value for name, value in cleaned.items() if value}


class SettingsForm(forms.Form):
    """One choice for each kind, and the hour of the daily mail."""

    digest_hour = forms.TypedChoiceField(
        choices=HOURS, coerce=int, label=_lazy("The daily mail comes at about")
    )

    def __init__(
        self, data: QueryDict | None = None, *, held: NoticeSettings, is_operator: bool
    ) -> None:
        super().__init__(data, initial={"digest_hour": held.digest_hour})
        for one in channels_of(held):
            if one.kind.is_for_operators and not is_operator:
                continue
            self.fields[one.kind.name] = forms.ChoiceField(
                choices=Channel, label=one.kind.label, initial=one.channel
            )

    @property
    def kinds(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name != "digest_hour"]

    @property
    def channels(self) -> dict[str, str]:
        return {name: value for name, value in self.cleaned_data.items() if name != "digest_hour"}


class WebhookForm(OnceForm):
    name = LineField(
        label=_lazy("Name"), max_length=80, help_text=_lazy("What it is for, or who reads it.")
    )
    url = LineField(
        label=_lazy("Address"),
        max_length=500,
        help_text=_lazy("Starts with https and can be reached from the internet."),
    )
    kinds = forms.MultipleChoiceField(
        label=_lazy("What it is told"),
        choices=[(kind.name, kind.label) for kind in OFFERED],
        widget=forms.CheckboxSelectMultiple,
    )


class WebhookChangeForm(forms.Form):
    name = LineField(label=_lazy("Name"), max_length=80)
    kinds = forms.MultipleChoiceField(
        label=_lazy("What it is told"),
        choices=[(kind.name, kind.label) for kind in OFFERED],
        widget=forms.CheckboxSelectMultiple,
    )

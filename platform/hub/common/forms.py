"""Fields and forms that pages share."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.http import QueryDict

from hub.common import text
from hub.common.errors import Invalid


class LineField(forms.CharField):
    """One line of text, fit to store and to show."""

    def clean(self, value: Any) -> str:
        given: str = super().clean(value)
        return self.fitted(given)

    def fitted(self, given: str) -> str:
        try:
            return text.line(given, most=self.max_length or text.LONGEST)
        except text.UnfitText as unfit:
            raise forms.ValidationError(unfit.detail, code=unfit.code) from unfit


class ParagraphsField(LineField):
    """Text of several lines."""

    widget = forms.Textarea

    def fitted(self, given: str) -> str:
        try:
            return text.paragraphs(given, most=self.max_length or text.LONGEST)
        except text.UnfitText as unfit:
            raise forms.ValidationError(unfit.detail, code=unfit.code) from unfit


class OnceForm(forms.Form):
    """A form that makes something: it carries a key, so that sent twice it makes it once.

    `cleaned_data` is without the key; `key` has it.
    """

    key: UUID
    once = forms.UUIDField(required=False, widget=forms.HiddenInput, initial=uuid4)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self.key = cleaned.pop("once", None) or uuid4()
        return cleaned


class ReasonForm(forms.Form):
    """Why something is done, for the record."""

    reason = LineField(max_length=500, required=False)


def sent(form: forms.Form, name: str) -> Any:
    """The value that came with a button; raises Invalid."""
    if not form.is_valid():
        raise Invalid(str(form.errors[name][0]))
    return form.cleaned_data[name]


def reason_in(posted: QueryDict) -> str:
    """The reason that came with a button; raises Invalid."""
    return str(sent(ReasonForm(posted), "reason"))

"""The form of the playground; its fields follow from what the version can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from federation.modelling.questions import (
    GENERATING,
    MOST_CHARACTERS,
    MOST_IMAGE_BYTES,
    MOST_NEW_TOKENS,
    USUAL_NEW_TOKENS,
    Asked,
    Question,
)

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

WORDS: dict[Asked, StrOrPromise] = {
    "labels": _lazy("Text"),
    "gaps": _lazy("Text with gaps"),
    "continuation": _lazy("Beginning of a text"),
    "chat": _lazy("What you say"),
}
HELP: dict[Asked, StrOrPromise] = {
    "gaps": _lazy("Write ___ (three underscores) where a word is to be found; up to five times."),
    "continuation": _lazy("The models go on from here."),
}


class QuestionForm(forms.Form):
    text = forms.CharField(
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
    )
    image = forms.FileField(
        label=_lazy("Picture"),
        help_text=_lazy("PNG, JPEG or WebP, up to 680 KiB."),
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
    )
    new_tokens = forms.IntegerField(
        label=_lazy("Longest answer"),
        min_value=1,
        max_value=MOST_NEW_TOKENS,
        initial=USUAL_NEW_TOKENS,
    )

    def __init__(self, kind: Asked, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if kind not in GENERATING:
            del self.fields["new_tokens"]
        if kind == "image":
            del self.fields["text"]
        else:
            del self.fields["image"]
            self.fields["text"].label = WORDS[kind]
            self.fields["text"].help_text = HELP.get(kind, "")

    def clean_image(self) -> bytes:
        content: bytes = self.cleaned_data["image"].read()
        if len(content) > MOST_IMAGE_BYTES:
            raise forms.ValidationError(_("The picture is larger than that."), code="too_large")
        return content

    def question(self) -> Question:
        """What a valid form asks."""
        return Question.model_construct(**{"image": None, **self.cleaned_data})

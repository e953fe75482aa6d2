"""The form of the playground; its fields follow from what the version can be asked."""

from __future__ import annotations

from typing import Any

from django import forms

from federation.modelling.questions import (
    GENERATING,
    MOST_CHARACTERS,
    MOST_IMAGE_BYTES,
    MOST_NEW_TOKENS,
    USUAL_NEW_TOKENS,
    Asked,
    Question,
)

WORDS: dict[Asked, str] = {
    "labels": "Text",
    "gaps": "Text with gaps",
    "continuation": "Beginning of a text",
    "chat": "What you say",
}
HELP: dict[Asked, str] = {
    "gaps": "Write ___ (three underscores) where a word is to be found; up to five times.",
    "continuation": "The models go on from here.",
}


class QuestionForm(forms.Form):
    text = forms.CharField(
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
    )
    image = forms.FileField(
        label="Picture",
        help_text="PNG, JPEG or WebP, up to 680 KiB.",
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
    )
    new_tokens = forms.IntegerField(
        label="Longest answer",
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
            raise forms.ValidationError("The picture is larger than that.", code="too_large")
        return content

    def question(self) -> Question:
        """What a valid form asks."""
        return Question.model_construct(**{"image": None, **self.cleaned_data})

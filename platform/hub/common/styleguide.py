"""A form with a field of each kind, for the style guide."""

from __future__ import annotations

from django import forms

BASES = [("minilm", "MiniLM L6"), ("tiny", "Tiny BERT")]
LATE = [("refuse", "Refuse"), ("keep", "Keep for the record")]
METRICS = [("accuracy", "Accuracy"), ("loss", "Loss")]


class StyleguideForm(forms.Form):
    name = forms.CharField(label="Name", help_text="What people will call the run.")
    base = forms.ChoiceField(label="Base model", choices=BASES)
    rounds = forms.IntegerField(label="Rounds", min_value=1, max_value=100, initial=5)
    email = forms.EmailField(label="Whom to tell", required=False)
    late = forms.ChoiceField(label="Late updates", choices=LATE, widget=forms.RadioSelect)
    metrics = forms.MultipleChoiceField(
        label="Metrics", choices=METRICS, widget=forms.CheckboxSelectMultiple, required=False
    )
    notes = forms.CharField(label="Notes", widget=forms.Textarea, required=False)
    agree = forms.BooleanField(label="All participations have been told.")

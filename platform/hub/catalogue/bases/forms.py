"""Forms of base models: what is said of one, which hub it is fetched from, its files."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.catalogue.bases.facts import LONGEST_LICENCE, LONGEST_SLUG
from hub.common.forms import LineField, OnceForm, ParagraphsField
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where

MOST_FILES_AT_ONCE = 50


class FactsForm(OnceForm):
    name = LineField(label=_lazy("Name"), max_length=120, help_text=_lazy("What people read."))
    slug = LineField(
        label=_lazy("Short name"),
        max_length=LONGEST_SLUG,
        help_text=_lazy(
            "In lower-case letters, digits and hyphens; it is loaded as base/<short name>."
        ),
    )
    description = LineField(label=_lazy("Description"), max_length=1000, required=False)
    licence = LineField(
        label=_lazy("Licence"),
        max_length=60,
        help_text=_lazy("Its SPDX identifier, such as Apache-2.0."),
    )
    licence_text = ParagraphsField(
        label=_lazy("Text of the licence"),
        max_length=LONGEST_LICENCE,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=_lazy("Empty: what a LICENSE file of the model says."),
    )
    must_accept = forms.BooleanField(
        label=_lazy("Each organisation accepts the licence before it gets a file"),
        required=False,
    )


class DraftForm(FactsForm):
    source = LineField(
        label=_lazy("Where it comes from"),
        max_length=300,
        required=False,
        help_text=_lazy("An address."),
    )
    organisation = forms.ModelChoiceField(
        Organisation.objects.none(), label=_lazy("Organisation"), empty_label=None
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        whose = self.fields["organisation"]
        whose.queryset = organisations_where(user, Permission.BRING_BASES)  # type: ignore[attr-defined]
        whose.help_text = _("It brings the model, and what it takes counts in its quota.")
        if user.is_staff:
            whose.required = False
            whose.empty_label = _("The operators of this hub")  # type: ignore[attr-defined]

    def service_fields(self) -> dict[str, Any]:
        """What `begin_draft` takes beside the person."""
        given = dict(self.cleaned_data)
        organisation = given.pop("organisation")
        return {**given, "organisation_id": organisation.pk if organisation else None}


class MirrorForm(FactsForm):
    endpoint = forms.ChoiceField(
        label=_lazy("Hub"), help_text=_lazy("Those that this hub's settings name.")
    )
    repo = LineField(label=_lazy("Repository"), max_length=200, help_text=_lazy("As owner/name."))
    revision = LineField(
        label=_lazy("Commit"),
        max_length=40,
        help_text=_lazy("Its 40 digits, since a name may mean something else tomorrow."),
    )
    field_order = ("endpoint", "repo", "revision")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = [source.rstrip("/") for source in settings.BASE_MODEL_SOURCES]
        self.fields["endpoint"].choices = [(source, source) for source in sources]  # type: ignore[attr-defined]


class SeveralFiles(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    widget = SeveralFiles

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[bytes]]:
        given = data if isinstance(data, list) else [data]
        if len(given) > MOST_FILES_AT_ONCE:
            raise forms.ValidationError(
                _("At most %(most)s files at a time.") % {"most": MOST_FILES_AT_ONCE}
            )
        return [super(FilesField, self).clean(one, initial) for one in given]


class FilesForm(forms.Form):
    """Small files; larger ones travel in parts, over the API."""

    chosen = FilesField(label=_lazy("Files"), allow_empty_file=True)
    folder = LineField(
        label=_lazy("Folder"),
        max_length=150,
        required=False,
        help_text=_lazy("Where they lie in the model, such as 1_Pooling; empty: at its top."),
    )

    @property
    def paths(self) -> dict[str, UploadedFile[bytes]]:
        """The files by their path in the model."""
        folder = self.cleaned_data["folder"].strip("/")
        before = f"{folder}/" if folder else ""
        return {f"{before}{file.name}": file for file in self.cleaned_data["chosen"]}

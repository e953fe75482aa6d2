"""What a person looks for in the record, in words that people have."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4

from django import forms
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.audit.selectors import Question
from hub.common.sentences import PATTERNS
from hub.federations.models import Federation
from hub.organisations.models import Organisation

# What each kind of event, and what it happens to, is called.
KINDS = {
    kind: kind.partition(".")[2].replace("_", " ")
    for kind in sorted({key.split()[0] for key in PATTERNS} | {"outbox.resent"})
}
SUBJECTS = {
    subject: subject.replace("_", " ").capitalize()
    for subject in sorted({kind.partition(".")[0] for kind in KINDS})
}


def action_choices() -> list[tuple[str, object]]:
    """All kinds of events, under what they happen to."""
    grouped: list[tuple[str, object]] = [("", _("Everything"))]
    for subject, words in SUBJECTS.items():
        name = _(words)
        kinds = [kind for kind in KINDS if kind.startswith(f"{subject}.")]
        rows = [(subject, _("%(subject)s: everything") % {"subject": name})]
        rows += [
            (kind, _("%(subject)s: %(what)s") % {"subject": name, "what": _(KINDS[kind])})
            for kind in kinds
        ]
        grouped.append((name, rows))
    return grouped


class AuditForm(forms.Form):
    """Nothing here says whether somebody or something exists: what nobody has finds nothing."""

    person = forms.EmailField(label=_lazy("Person's e-mail address"), required=False)
    organisation = forms.SlugField(label=_lazy("Organisation's short name"), required=False)
    federation = forms.SlugField(label=_lazy("Federation's short name"), required=False)
    action = forms.ChoiceField(label=_lazy("Action"), choices=action_choices, required=False)
    since = forms.DateField(
        label=_lazy("From"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label=_lazy("To"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    # Links of events fill these.
    object = forms.UUIDField(label=_lazy("Object's identifier"), required=False)
    run = forms.UUIDField(label=_lazy("Run's identifier"), required=False)

    def question(self) -> Question:
        """Of a form that is valid."""
        said = self.cleaned_data
        return Question(
            person=_found(User.objects.filter(email=said["person"].lower()), said["person"]),
            organisation=_found(
                Organisation.objects.filter(slug=said["organisation"]), said["organisation"]
            ),
            federation=_found(
                Federation.objects.filter(slug=said["federation"]), said["federation"]
            ),
            run=said["run"],
            object=said["object"],
            action=said["action"],
            since=_midnight(said["since"]),
            until=_midnight(said["until"], days=1),
        )


def _found(rows: QuerySet[Model], name: str) -> UUID | None:
    """Its identifier; one that nothing has, where nothing is called so."""
    if not name:
        return None
    pk: UUID | None = rows.values_list("pk", flat=True).first()
    return pk or uuid4()


def _midnight(day: date | None, *, days: int = 0) -> datetime | None:
    if day is None or day >= date.max - timedelta(days=1):
        return None
    return datetime.combine(day + timedelta(days=days), time(), UTC)

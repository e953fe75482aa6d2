"""What a person looks for in the record, in words that people have."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4

from django import forms
from django.db.models import Model, QuerySet

from hub.accounts.models import User
from hub.audit.selectors import Question
from hub.common.sentences import PATTERNS
from hub.federations.models import Federation
from hub.organisations.models import Organisation

KINDS = sorted({key.split()[0] for key in PATTERNS} | {"outbox.resent"})
SUBJECTS = sorted({kind.partition(".")[0] for kind in KINDS})


def action_choices() -> list[tuple[str, object]]:
    """All kinds of events, under what they happen to."""
    grouped: list[tuple[str, object]] = [("", "Everything")]
    for subject in SUBJECTS:
        name = subject.replace("_", " ").capitalize()
        kinds = [kind for kind in KINDS if kind.startswith(f"{subject}.")]
        rows = [(subject, f"{name}: everything")]
        rows += [(kind, f"{name}: {_words(kind)}") for kind in kinds]
        grouped.append((name, rows))
    return grouped


def _words(kind: str) -> str:
    return kind.partition(".")[2].replace("_", " ")


class AuditForm(forms.Form):
    """Nothing here says whether somebody or something exists: what nobody has finds nothing."""

    person = forms.EmailField(label="Person's e-mail address", required=False)
    organisation = forms.SlugField(label="Organisation's short name", required=False)
    federation = forms.SlugField(label="Federation's short name", required=False)
    action = forms.ChoiceField(choices=action_choices, required=False)
    since = forms.DateField(
        label="From", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    until = forms.DateField(
        label="To", required=False, widget=forms.DateInput(attrs={"type": "date"})
    )
    # Links of events fill these.
    object = forms.UUIDField(label="Object's identifier", required=False)
    run = forms.UUIDField(label="Run's identifier", required=False)

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

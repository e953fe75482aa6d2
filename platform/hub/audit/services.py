"""Taking the record out is an act, and on record itself."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from hub.accounts.models import User
from hub.audit.exporting import Export, Format
from hub.audit.selectors import Question, Readable
from hub.common.models import Event


def export(*, readable: Readable, question: Question, form: Format) -> Export:
    """What the question finds up to now. It leaves an event, which is the last one told."""
    last = _record(readable.user, readable, question, form)
    return Export(question.of(readable.events()), last.pk, form)


def _record(user: User, readable: Readable, question: Question, form: Format) -> Event:
    """Where one organisation's or federation's record was asked for, it is told there."""
    own = readable.organisations[0] if len(readable.organisations) == 1 else None
    return Event.objects.create(
        kind="audit.exported",
        subject_id=user.pk,
        actor_kind=user.actor.kind,
        actor_id=user.pk,
        actor_label=user.actor.label[:200],
        organisation_id=question.organisation or own,
        federation_id=question.federation,
        run_id=question.run,
        data={"format": form.value, "asked": question.said()},
    )


def export_response(export: Export) -> StreamingHttpResponse:
    response = StreamingHttpResponse(export, content_type=export.format.content_type)
    name = f"audit-{export.upto}.{export.format}"
    response["Content-Disposition"] = content_disposition_header(True, name) or ""
    response["Cache-Control"] = "private, no-store"
    return response

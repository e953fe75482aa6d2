"""The page of the playground. What is asked is on it until it is closed, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from federation.modelling.questions import Answer
from hub.accounts.selectors import person_of
from hub.catalogue import selectors
from hub.catalogue.models import ModelVersion
from hub.catalogue.playground import asking as playground
from hub.catalogue.playground import questions
from hub.catalogue.playground.asking import Playground
from hub.catalogue.playground.forms import QuestionForm
from hub.catalogue.versions.lines import with_origin
from hub.common.errors import DomainError, NotFound
from hub.common.handler import until_woken
from hub.common.waiting import LONGEST_WAIT, wait_until

TEMPLATE, BESIDE = "catalogue/try.html", "catalogue/parts/beside.html"
PATIENCE = 20.0  # seconds that a page waits before it says that it still waits


@dataclass(frozen=True)
class Bench:
    """What the page shows; nothing of it is kept."""

    playground: Playground
    form: QuestionForm | None
    answer: Answer | None = None
    waiting: UUID | None = None
    refusal: DomainError | None = None
    is_beside: bool = False  # one of several versions that are asked the same, without the base

    @property
    def version(self) -> ModelVersion:
        return self.playground.version

    @property
    def spot(self) -> str:
        """The id of what the answer takes the place of."""
        return f"beside-{self.version.pk}" if self.is_beside else "answer"

    @property
    def panes(self) -> list[tuple[str, Any]]:
        """Heading and reply: the base on the left, the version on the right."""
        assert self.answer
        own = (_("Version %(number)s") % {"number": self.version.number}, self.answer.version)
        if self.is_beside:
            return [own]
        base = _("%(name)s, the base") % {"name": self.version.base_model.name}
        return [(base, self.answer.base), own]


def private(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For people who have signed in; neither a cache nor a report of an error keeps anything."""

    @sensitive_post_parameters()
    @cache_control(no_store=True, private=True)
    @wraps(view)
    def closed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs)

    return login_required(closed)


@require_http_methods(["GET", "HEAD", "POST"])
@private
def try_version(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The form; sent, with the answer, once that is there or the patience is over."""
    ground = _ground(request, pk)
    kind = ground.kind
    if kind is None or ground.refusal:
        return _page(request, Bench(ground, None))
    initial = {"text": ground.example} if "example" in request.GET else None
    form = QuestionForm(kind, request.POST or None, request.FILES or None, initial=initial)
    if request.method != "POST" or not _is_sent(request, form):
        return _page(request, Bench(ground, form))
    return _answered(request, ground, form, lambda: _asked(request, ground, form))


@require_safe
@private
def answer(request: HttpRequest, pk: UUID, question_id: UUID) -> HttpResponse:
    """The same page with the answer to a question that was asked before."""
    ground = _ground(request, pk)
    if ground.kind is None:
        raise Http404
    return _answered(request, ground, QuestionForm(ground.kind), lambda: question_id)


def _ground(request: HttpRequest, pk: UUID) -> Playground:
    visible = with_origin(selectors.versions_visible_to(person_of(request)))
    return Playground(get_object_or_404(visible, pk=pk))


def _is_sent(request: HttpRequest, form: QuestionForm) -> bool:
    """A question that waits was valid when it came; its picture has been read since."""
    return hasattr(request, "question_id") or form.is_valid()


def _asked(request: HttpRequest, ground: Playground, form: QuestionForm) -> UUID:
    known: UUID | None = getattr(request, "question_id", None)
    if known is None:
        known = playground.ask(
            user=person_of(request), version_id=ground.version.pk, question=form.question()
        )
        request.question_id = known  # type: ignore[attr-defined]
    return known


def _answered(
    request: HttpRequest, ground: Playground, form: QuestionForm, asked: Callable[[], UUID]
) -> HttpResponse:
    try:
        pk = asked()
        found = playground.answer_to(
            user=person_of(request), version_id=ground.version.pk, question_id=pk
        )
    except NotFound as absent:
        raise Http404(absent.detail) from absent
    except DomainError as refusal:
        return _page(request, Bench(ground, form, refusal=refusal))
    if found is not None:
        return _page(request, Bench(ground, form, answer=found))
    until = wait_until(request, min(PATIENCE, LONGEST_WAIT))
    page = _page(request, Bench(ground, form, waiting=pk))
    return until_woken(page, channels=[questions.channel(pk)], until=until)


def _page(request: HttpRequest, bench: Bench) -> HttpResponse:
    """Whole, or for htmx only what changes; that takes no refusal for an error."""
    is_part = request.headers.get("HX-Request") == "true"
    bench = replace(bench, is_beside=is_part and "beside" in request.GET)
    part = BESIDE if bench.is_beside else f"{TEMPLATE}#answer"
    template = part if is_part else TEMPLATE
    refusal = bench.refusal
    status = refusal.status if refusal and not is_part else 200
    page = render(request, template, {"version": bench.version, "bench": bench}, status=status)
    if refusal and refusal.retry_after and not is_part:
        page.headers["Retry-After"] = str(refusal.retry_after)
    return page

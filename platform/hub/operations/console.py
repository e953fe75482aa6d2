"""The console as a whole: Django's admin with the pages of our own beside the lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path

from hub.common.console import Console
from hub.operations.appearance import AT_WORK
from hub.operations.pages import fleet, health, hub, jobs, leases, ledgers, storage, workers
from hub.operations.pages.parts import Section

Sections: TypeAlias = Callable[[HttpRequest], Iterator[Section]]
SECTIONS: Mapping[str, Sections] = {
    "hub": hub.sections,
    "jobs": jobs.sections,
    "workers": workers.sections,
    "leases": leases.sections,
    "fleet": fleet.sections,
    "storage": storage.sections,
    "health": health.sections,
    "ledger-states": ledgers.sections,
}


class OperatorsConsole(Console):
    def get_urls(self) -> list[URLPattern | URLResolver]:
        """The pages of the sidebar's first group, before what Django has."""
        own = [
            path(f"{name}/", self.admin_view(partial(_page, self, name, title)), name=name)
            for name, title, _ in AT_WORK
        ]
        return [*own, *super().get_urls()]


def _page(site: Console, name: str, title: str, request: HttpRequest) -> HttpResponse:
    """A page, or for htmx what changes on it."""
    if request.method not in {"GET", "HEAD"}:
        return HttpResponseNotAllowed(["GET", "HEAD"])
    context = {"title": title, "sections": list(SECTIONS[name](request))}
    if request.htmx:  # type: ignore[attr-defined]  # of its middleware
        return TemplateResponse(request, "console/page.html#live", context)
    return TemplateResponse(request, "console/page.html", {**site.each_context(request), **context})

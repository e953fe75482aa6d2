"""The operator console: Django's admin in unfold's clothes, read-mostly.

Rows change by acts only: a page says what will happen and asks for a reason, a service does it
and leaves an event.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from allauth.account.decorators import reauthentication_required, secure_admin_login
from allauth.mfa.utils import is_mfa_enabled
from csp.constants import UNSAFE_EVAL, UNSAFE_INLINE
from csp.decorators import csp_update
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import display
from django.contrib.admin.utils import unquote
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.admin import ModelAdmin, TabularInline
from unfold.sites import UnfoldAdminSite
from unfold.widgets import UnfoldAdminTextareaWidget

from hub.common.acts import Act, act_url, acts_for, change_url
from hub.common.errors import DomainError
from hub.common.models import Event, Stateful
from hub.common.sentences import sentence
from hub.common.templatetags.foedus import STATES

# Alpine, inside unfold, evaluates expressions and its dialogs carry styles. Our pages need neither.
POLICY = {"script-src": [UNSAFE_EVAL], "style-src": [UNSAFE_INLINE]}
EVENTS_SHOWN = 100
TONES = {
    "positive": "success",
    "active": "info",
    "attention": "warning",
    "negative": "danger",
}  # unfold's words for ours
TONE_OF = {state: TONES.get(tone, "default") for state, (tone, _) in STATES.items()}


class Console(UnfoldAdminSite):  # type: ignore[misc]
    """Signs in where the pages do, with the second factor if REQUIRE_OPERATOR_MFA says so."""

    index_title = "Overview"
    index_template = "console/dashboard.html"

    def has_permission(self, request: HttpRequest) -> bool:
        if not super().has_permission(request):
            return False
        return not settings.REQUIRE_OPERATOR_MFA or has_second_factor(request)

    @method_decorator(secure_admin_login)
    def login(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:  # noqa: ARG002
        """Only operators get past the decorator: those who lack nothing, or the second factor."""
        if self.has_permission(request):
            return redirect("admin:index")
        messages.warning(
            request, "The console asks for two-factor authentication: set it up first."
        )
        return redirect("mfa_index")

    def admin_view(self, view: Callable[..., Any], cacheable: bool = False) -> Callable[..., Any]:  # noqa: FBT001, FBT002
        return csp_update(POLICY)(super().admin_view(view, cacheable))  # type: ignore[no-any-return]


def has_second_factor(request: HttpRequest) -> bool:
    """Asked several times for a page, looked up once."""
    known = request.META.get("foedus.second_factor")
    if known is None:
        known = request.META["foedus.second_factor"] = is_mfa_enabled(request.user)
    return bool(known)


def is_operator(request: HttpRequest) -> bool:
    return request.user.is_active and bool(getattr(request.user, "is_staff", False))


class ReadOnly:
    """Every operator sees everything; nobody writes past the services."""

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return False

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return is_operator(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)


class ReadOnlyInline(ReadOnly, TabularInline):  # type: ignore[misc]
    """Rows of another model on a row's page; put `opened` into `fields` for a way to theirs."""

    extra = 0
    per_page = 20
    hide_title = True
    can_delete = False
    readonly_fields: tuple[str, ...] = ("opened",)

    @display(description="its page")
    def opened(self, row: Model) -> str:
        return format_html('<a href="{}" aria-label="Open {}">Open</a>', change_url(row), row)


class ReadOnlyAdmin(ReadOnly, ModelAdmin):  # type: ignore[misc]
    """Lists and shows rows, with the acts that fit their state and the events they left."""

    actions = None
    list_per_page = 50
    list_filter_sheet = False
    show_full_result_count = False
    empty_value_display = "–"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(self.act_view)
        return [path("<path:object_id>/act/<slug:name>/", view, name=name), *super().get_urls()]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().changeform_view(request, *args, **kwargs)
        row = (getattr(response, "context_data", None) or {}).get("original")
        if row is not None:
            response.context_data["actions_detail"] = [_button(row, act) for act in acts_for(row)]
        return response  # type: ignore[no-any-return]

    def act_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponseBase:
        """Say what will happen, ask why, and do it."""
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        act = next((act for act in acts_for(row) if act.name == name), None)
        if act is None:
            messages.warning(request, f"Nothing was done: {row} is not in a state for this.")
            return redirect(_back(request, row))
        if act.is_dangerous:
            return reauthentication_required(self._ask)(request, row, act)  # type: ignore[no-any-return]
        return self._ask(request, row, act)

    def _ask(self, request: HttpRequest, row: Model, act: Act) -> HttpResponseBase:
        form = ReasonForm(request.POST or None, act=act)
        if form.is_valid():
            _perform(request, row, act, **form.cleaned_data)
            return redirect(_back(request, row))
        more = {"act": act, "form": form, "back": _back(request, row)}
        return self._page(request, row, "act", f"{act.label}: {row}", **more)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Events instead of Django's log, for rows that leave them."""
        row = self.get_object(request, unquote(object_id))
        if not isinstance(row, Stateful):
            return super().history_view(request, object_id, extra_context)  # type: ignore[no-any-return]
        found = Event.objects.filter(subject_id=row.pk).order_by("-pk")[:EVENTS_SHOWN]
        events = [(event, sentence(event)) for event in found]
        more = {"events": events, "shown": EVENTS_SHOWN, "back": change_url(row)}
        return self._page(request, row, "events", f"Events: {row}", **more)

    def _page(
        self, request: HttpRequest, row: Model, template: str, title: str, **more: object
    ) -> TemplateResponse:
        site = self.admin_site.each_context(request)
        context = {**site, "title": title, "opts": self.opts, "original": row, **more}
        return TemplateResponse(request, f"console/{template}.html", context)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        min_length=3,
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "autofocus": True}),
        help_text="Kept in the record for ever, and shown to those it concerns.",
    )

    def __init__(self, *args: Any, act: Act, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields |= {name: made() for name, made in act.asks.items()}
        self.order_fields([*act.asks, "reason"])


def _perform(request: HttpRequest, row: Model, act: Act, reason: str, **asked: object) -> None:
    try:
        act.perform(row.pk, request.user.actor, reason, **asked)  # type: ignore[union-attr]
    except DomainError as refusal:
        messages.error(request, f"Nothing was done. {refusal.title} {refusal.detail}")
    else:
        messages.success(request, f"{act.label}: {row}. Done and recorded.")


def _back(request: HttpRequest, row: Model) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure())
    return wanted if safe else change_url(row)


def _button(row: Model, act: Act) -> dict[str, object]:
    """What unfold's template wants to know of a button."""
    return {"title": act.label, "path": act_url(row, act.name), "icon": act.icon, "attrs": {}}


@display(description="state", ordering="state")
def state(row: Any) -> tuple[str, str]:
    return row.state, row.get_state_display()


state.label = TONE_OF  # type: ignore[attr-defined]  # unfold draws it as a label in this tone


def linked(relation: str, description: str = "") -> Callable[[Model], str]:
    """A column that leads to a related row; put the relation into `list_select_related` too."""

    @display(description=description or relation.rpartition("__")[2].replace("_", " "))
    def column(row: Model) -> str:
        related = attrgetter(relation.replace("__", "."))(row)
        return format_html('<a href="{}">{}</a>', change_url(related), related) if related else "–"

    column.__name__ = relation
    return column


def moment(field: str, description: str = "") -> Callable[[Model], str]:
    """A column that says how long ago, with the exact time under the pointer."""

    @display(description=description or field.replace("_", " "), ordering=field)
    def column(row: Model) -> str:
        at = getattr(row, field)
        exact = f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
        return format_html('<time title="{}">{}</time>', exact, naturaltime(at)) if at else "–"

    column.__name__ = field
    return column

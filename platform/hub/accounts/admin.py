from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from unfold.forms import UserCreationForm

from hub.accounts.models import ApiToken, User
from hub.accounts.services import record_made
from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, is_operator, linked, moment

admin.site.unregister(Group)  # operators are one kind; organisations have roles of their own
admin.site.unregister(Authenticator)  # holds secrets
admin.site.unregister(UserSession)  # a person's own business
admin.site.unregister([SocialAccount, SocialApp, SocialToken])  # OIDC_PROVIDERS has them
admin.site.unregister(EmailAddress)  # again below, in unfold's clothes


class ApiTokenInline(ReadOnlyInline):
    model = ApiToken
    fields = ("name", "scope", "created", "expiry", "last_used_at")
    readonly_fields = ("created", "expiry", "last_used_at")
    verbose_name_plural = "API tokens"


@admin.register(User)
class UserAdmin(ReadOnlyAdmin, DjangoUserAdmin[User]):  # type: ignore[misc]
    """Accounts can be made here, for who cannot sign up; all else about people is an act.

    Nobody sets another's password: they would act under a name that is not theirs.
    """

    add_form = UserCreationForm
    list_fullwidth = False
    list_display = ("email", "name", "is_staff", "is_active", moment("last_login"))
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    ordering = ("email",)
    date_hierarchy = "date_joined"
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name")}),
        ("What they may do", {"fields": ("is_active", "is_staff")}),
        ("When", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "password1", "password2")}),)

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list[type]:  # noqa: ARG002
        return [ApiTokenInline] if obj else []

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Of nobody who is there; Django asks it before somebody is added, too."""
        return obj is None and is_operator(request)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001
        super().save_model(request, obj, form, change)
        record_made(user=obj, actor=request.user.actor)  # type: ignore[union-attr]


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin):
    list_display = ("email", linked("user"), "primary", "verified")
    list_select_related = ("user",)
    list_filter = ("primary", "verified")
    search_fields = ("email", "user__name")

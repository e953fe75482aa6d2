from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from hub.accounts.models import ApiToken, User
from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, is_operator, linked, moment

admin.site.unregister(Group)  # operators are one kind; organisations have roles of their own
admin.site.unregister(Authenticator)  # holds secrets
admin.site.unregister(UserSession)  # a person's own business
admin.site.unregister(EmailAddress)  # again below, in unfold's clothes


class ApiTokenInline(ReadOnlyInline):
    model = ApiToken
    fields = ("name", "scope", "created", "expiry", "last_used_at")
    readonly_fields = ("created", "expiry", "last_used_at")
    verbose_name_plural = "API tokens"


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User], ModelAdmin):  # type: ignore[misc]
    """The one place where the console writes by itself: people, and who is an operator."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "is_staff", "is_active", moment("last_login"))
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    ordering = ("email",)
    date_hierarchy = "date_joined"
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("What they may do", {"fields": ("is_active", "is_staff")}),
        ("When", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "password1", "password2")}),
        ("What they may do", {"fields": ("is_staff",)}),
    )

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list[type]:  # noqa: ARG002
        return [ApiTokenInline] if obj else []

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return is_operator(request)

    has_change_permission = has_add_permission = has_view_permission

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return False  # the record names people for ever; leaving is `is_active`


@admin.register(EmailAddress)
class EmailAddressAdmin(ReadOnlyAdmin):
    list_display = ("email", linked("user"), "primary", "verified")
    list_select_related = ("user",)
    list_filter = ("primary", "verified")
    search_fields = ("email", "user__name")

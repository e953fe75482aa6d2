"""People, and the tokens their scripts use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.expressions import Combinable
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _lazy
from knox.models import AbstractAuthToken

from hub.common.actors import Actor

# What every page shows of its reader, put here by higher apps: expressions over rows of `User`.
FETCHED_ALONG: dict[str, Callable[[], Combinable]] = {}


class UserManager(BaseUserManager["User"]):
    def with_dues(self) -> models.QuerySet[User]:
        """People with what `owes_second_factor` says, and `FETCHED_ALONG`, in the same query."""
        owes = models.Exists(self.filter(owing(), pk=models.OuterRef("pk")))
        return self.annotate(owes=owes, **{name: made() for name, made in FETCHED_ALONG.items()})

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


def owing() -> models.Q:
    """People who have no second factor, and of whom the hub or an organisation demands one.

    Organisations belong to a higher app: only the database follows this arrow.
    """
    demanded = models.Q(memberships__organisation__requires_second_factor=True)
    if settings.REQUIRE_OPERATOR_MFA:
        demanded |= models.Q(is_staff=True)
    return models.Q(authenticator=None) & demanded


class User(AbstractBaseUser, PermissionsMixin):  # type: ignore[django-manager-missing]
    """A person, signed in by e-mail address. Operators have `is_staff`.

    Pages and letters speak the person's `language`; without one, pages speak the browser's.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    language = models.CharField(max_length=10, blank=True, default="", db_default="")
    is_staff = models.BooleanField("operator", default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        constraints = (models.UniqueConstraint(Lower("email"), name="one_account_per_address"),)

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def owes_second_factor(self) -> bool:
        """Whether somebody demands one that the person has not set up."""
        if "owes" in self.__dict__:  # it was read with the session
            return bool(self.__dict__["owes"])
        return User.objects.filter(owing(), pk=self.pk).exists()

    @property
    def actor(self) -> Actor:
        return Actor(kind="user", id=self.pk, label=str(self))


class Scope(models.TextChoices):
    """How much of what its person may do a token may do."""

    READ = "read", _lazy("Read: see and download")
    WRITE = "write", _lazy("Read and write: all that you may do")


class ApiToken(AbstractAuthToken):  # type: ignore[misc]
    """A named, hashed, expiring token; several per person. Shown once, when made."""

    name = models.CharField(max_length=80)
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.WRITE)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created",)

    def __str__(self) -> str:
        return self.name

    @property
    def scope_name(self) -> str:
        """«Read», without what that means."""
        return Scope(self.scope).label.partition(":")[0]

"""What a version is called: `released` and `latest`, its number, and names of a federation's own.

`version_at` is the one place that says what a revision means; the Hugging Face dialect, pages and
the API ask it.
"""

from __future__ import annotations

import re
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.errors import AliasRefused
from hub.catalogue.models import Alias, AliasState, ModelVersion, VersionState
from hub.catalogue.selectors import line_of, require_version
from hub.common.errors import NotFound
from hub.common.models import Event
from hub.federations.models import Federation
from hub.federations.selectors import federations_of, require_place
from hub.organisations.permissions import Permission

MAIN, RELEASED, LATEST = "main", "released", "latest"
RESERVED = frozenset({MAIN, RELEASED, LATEST, "base", "head", "refs"})
NUMBER = re.compile(r"v([1-9][0-9]{0,8})")
COMMIT = re.compile(r"[0-9a-f]{40}")
TAKEN = re.compile(r"v[0-9]+|[0-9a-f]{40}")
PLAIN = re.compile(r"[a-z0-9]+(?:[-._][a-z0-9]+)*")
LONGEST, MOST = 40, 50
CHANGES_SHOWN = 20


def version_at(federation: Federation, revision: str) -> ModelVersion | None:
    """What a revision means today: `main`, `released`, `latest`, `v3`, 40 digits, or an own name.

    `main` is the released version, else the latest that is not retired. Baselines are neither.
    """
    versions = federation.versions.select_related("base_model")
    if number := NUMBER.fullmatch(revision):
        return versions.filter(number=int(number[1])).first()
    if COMMIT.fullmatch(revision):
        return versions.filter(commits__revision=revision).order_by("-number").first()
    if revision in RESERVED:
        return _standing(federation, revision)
    return versions.filter(aliases__in=aliases_of(federation).filter(name=revision)).first()


def _standing(federation: Federation, revision: str) -> ModelVersion | None:
    line = line_of(federation).select_related("base_model")
    released = line.filter(state=VersionState.RELEASED)
    latest = line.exclude(state=VersionState.RETIRED)
    match revision:
        case "main":
            return released.first() or latest.first()
        case "released":
            return released.first()
        case "latest":
            return latest.first()
    return None


def aliases_of(federation: Federation) -> QuerySet[Alias]:
    """The names in use, in alphabetical order."""
    return federation.aliases.filter(state=AliasState.GIVEN).order_by("name")


def every_alias_visible_to(user: User) -> QuerySet[Alias]:
    """Names of the user's federations, also those that mean nothing any more."""
    return Alias.objects.filter(federation__in=federations_of(user)).select_related("version")


def aliases_visible_to(user: User) -> QuerySet[Alias]:
    """The names in use in the user's federations."""
    return every_alias_visible_to(user).filter(state=AliasState.GIVEN)


def history_of(federation: Federation) -> QuerySet[Event]:
    """How names were given, moved and removed, the newest first."""
    names = Alias.objects.filter(federation=federation).values("pk")
    return Event.objects.filter(subject_id__in=names).order_by("-pk")[:CHANGES_SHOWN]


@transaction.atomic
def give_alias(*, user: User, version_id: UUID, name: str) -> Alias:
    """Call a version by a name of the federation's own, taking it from the one that had it.

    Given twice is given once.

    Raises:
        NotFound, Forbidden: it is not the user's to see, or to name.
        AliasRefused: the name has another meaning, is not plain, or there are too many.
    """
    version = require_version(user, version_id)
    require_place(user, version.federation_id, Permission.CURATE_VERSIONS)
    check_name(name)
    federation = Federation.objects.select_for_update(no_key=True).get(pk=version.federation_id)
    alias = federation.aliases.select_related("version").filter(name=name).first()
    if alias is not None and alias.state == AliasState.GIVEN and alias.version_id == version.pk:
        return alias
    if alias is None or alias.state != AliasState.GIVEN:
        _check_room(federation)
    if alias is None:
        alias = Alias.objects.create(federation=federation, name=name, version=version)
        alias.record(AliasState.GIVEN, actor=user.actor, data=_said(alias))
    else:
        _move(alias, version, user)
    return alias


def _move(alias: Alias, version: ModelVersion, user: User) -> None:
    before = alias.version
    alias.version = version
    if alias.state == AliasState.REMOVED:
        alias.move_to(AliasState.GIVEN, actor=user.actor, data=_said(alias), version=version)
        return
    alias.save(update_fields=["version"])
    alias.record("moved", actor=user.actor, data={**_said(alias), "before": before.number})


@transaction.atomic
def remove_alias(*, user: User, federation_id: UUID, name: str) -> Alias:
    """Let a name mean nothing any more. Removed twice is removed once.

    Raises:
        NotFound, Forbidden: there is no such federation or name, or it is not the user's to say.
    """
    require_place(user, federation_id, Permission.CURATE_VERSIONS)
    Federation.objects.select_for_update(no_key=True).get(pk=federation_id)
    found = Alias.objects.filter(federation=federation_id, name=name)
    alias = found.select_related("version").first()
    if alias is None:
        raise NotFound("the federation gives no version this name")
    if alias.state != AliasState.REMOVED:
        alias.move_to(AliasState.REMOVED, actor=user.actor, data=_said(alias))
    return alias


def check_name(name: str) -> None:
    """Raises AliasRefused."""
    if name in RESERVED or TAKEN.fullmatch(name):
        raise AliasRefused(_("%(name)s means something else already.") % {"name": name})
    if len(name) > LONGEST or not PLAIN.fullmatch(name):
        raise AliasRefused(
            _(
                "A name has at most %(LONGEST)s small letters and digits, with single "
                "hyphens, dots or underscores between them."
            )
            % {"LONGEST": LONGEST}
        )


def _check_room(federation: Federation) -> None:
    if aliases_of(federation).count() >= MOST:
        raise AliasRefused(
            _("A federation has at most %(MOST)s names; remove one first.") % {"MOST": MOST}
        )


def _said(alias: Alias) -> dict[str, object]:
    return {"alias": alias.name, "version": alias.version.number}

"""What the page of a base model shows; each part is read when the template first asks for it."""

from __future__ import annotations

from functools import cached_property

from hub.accounts.models import User
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import BaseModel, BaseModelFile, LicenceAcceptance
from hub.common.errors import DependencyDown
from hub.federations.models import Participation, ParticipationState
from hub.federations.selectors import federations_of
from hub.organisations.models import Membership
from hub.organisations.permissions import Permission
from hub.organisations.selectors import memberships_of

CARD = "README.md"
LONGEST_CARD = 100_000  # bytes
ACCEPTANCES_SHOWN = 100


class Shelf:
    def __init__(self, base: BaseModel, user: User) -> None:
        self.base = base
        self.user = user

    @cached_property
    def files(self) -> list[BaseModelFile]:
        return list(self.base.files.select_related("artifact"))

    @property
    def size_bytes(self) -> int:
        return sum(file.artifact.size_bytes for file in self.files)

    @cached_property
    def card(self) -> str:
        """What whoever made the model says of it; empty where they say nothing."""
        file = next((file for file in self.files if file.path == CARD), None)
        if file is None or file.artifact.size_bytes > LONGEST_CARD:
            return ""
        try:
            content = store().local_path(file.artifact_id).read_bytes()
        except DependencyDown:
            return ""
        return content.decode("utf-8", "replace")

    @cached_property
    def acceptances(self) -> list[LicenceAcceptance]:
        """Those of the reader's organisations, and of others in their federations."""
        beside = Participation.objects.filter(
            federation__in=federations_of(self.user), state=ParticipationState.ACTIVE
        )
        own = self.user.memberships.values("organisation")
        seen = self.base.acceptances.select_related("organisation", "accepted_by")
        if not self.user.is_staff:
            known = seen.filter(organisation__in=beside.values("organisation"))
            seen = known | seen.filter(organisation__in=own)
        return list(seen.distinct()[:ACCEPTANCES_SHOWN])

    @cached_property
    def open_places(self) -> list[Membership]:
        """The reader's organisations that have not accepted the licence."""
        done = {acceptance.organisation_id for acceptance in self.acceptances}
        places = memberships_of(self.user)
        return [place for place in places if place.organisation_id not in done]

    @cached_property
    def signing_places(self) -> list[Membership]:
        """Those of them for which the reader may accept it."""
        return [place for place in self.open_places if place.may(Permission.SIGN_CHARTERS)]

    @property
    def is_open(self) -> bool:
        """Whether the reader may have the files."""
        own = {place.organisation_id for place in memberships_of(self.user)}
        done = {acceptance.organisation_id for acceptance in self.acceptances}
        return not self.base.must_accept or bool(own & done)

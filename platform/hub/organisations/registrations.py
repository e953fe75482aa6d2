"""The operator's queue: who has registered, and what is known that helps to decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.db.models import Prefetch, Q, QuerySet
from django.utils.text import slugify

from hub.accounts.models import User
from hub.organisations.models import Membership, Organisation, OrganisationState
from hub.organisations.permissions import Role

ALIKE_SHOWN = 5
ALIKE_LOOKED_AT = 500
SHORTEST = 4  # letters of a first word that say something


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registration that waits, with what stands for it and against it."""

    organisation: Organisation
    owner: User | None
    is_confirmed: bool  # the owner's address
    same_domain: Sequence[Organisation]
    same_name: Sequence[Organisation]

    @property
    def domain(self) -> str:
        return domain_of(self.owner.email) if self.owner else ""

    @property
    def fits_website(self) -> bool:
        """Whether the owner's address is of the website's domain."""
        host = self.organisation.website.partition("://")[2].partition("/")[0].partition(":")[0]
        return bool(host) and bool(self.domain) and f".{host}".endswith(f".{self.domain}")


def waiting() -> QuerySet[Organisation]:
    """Those that wait for an operator, the longest first, with their owners at `owners`."""
    owners = Membership.objects.filter(role=Role.OWNER).select_related("user")
    return (
        Organisation.objects.filter(state=OrganisationState.PENDING)
        .order_by("created_at", "pk")
        .prefetch_related(
            Prefetch("memberships", owners.order_by("created_at"), to_attr="owners"),
        )
    )


def candidates(page: Sequence[Organisation]) -> list[Candidate]:
    """What is known of each of these; two queries for all of them."""
    owners = {found.pk: found.owners[0].user for found in page if found.owners}  # type: ignore[attr-defined]
    proved = EmailAddress.objects.filter(user__in=owners.values(), verified=True)
    confirmed = {email.lower() for email in proved.values_list("email", flat=True)}
    others = _alike(page, [domain_of(user.email) for user in owners.values()])
    return [_candidate(found, owners.get(found.pk), confirmed, others) for found in page]


def _candidate(
    found: Organisation, owner: User | None, confirmed: set[str], others: Sequence[Organisation]
) -> Candidate:
    rest = [other for other in others if other.pk != found.pk]
    domain = domain_of(owner.email) if owner else ""
    name = first_words(found.name)
    return Candidate(
        organisation=found,
        owner=owner,
        is_confirmed=owner is not None and owner.email in confirmed,
        same_domain=[one for one in rest if domain and domain in _domains(one)][:ALIKE_SHOWN],
        same_name=[one for one in rest if first_words(one.name) == name][:ALIKE_SHOWN],
    )


def _alike(page: Sequence[Organisation], domains: Sequence[str]) -> Sequence[Organisation]:
    """Organisations in any state that share a domain, or how a name begins, with one of these."""
    alike = Q(pk__in=[found.pk for found in page])
    for domain in set(domains):
        alike |= Q(contact_email__iendswith=f"@{domain}") | Q(
            memberships__user__email__iendswith=f"@{domain}"
        )
    for name in {first_words(found.name) for found in page}:
        alike |= Q(slug__startswith=name)
    found = Organisation.objects.filter(alike).distinct().order_by("created_at")
    return list(found.prefetch_related("memberships__user")[:ALIKE_LOOKED_AT])


def _domains(found: Organisation) -> set[str]:
    people = {domain_of(place.user.email) for place in found.memberships.all()}
    return people | {domain_of(found.contact_email)}


def domain_of(email: str) -> str:
    return email.rpartition("@")[2].lower()


def first_words(name: str) -> str:
    """What of a name tells it apart: its first word, or two where that is short."""
    words = slugify(name).split("-")
    return words[0] if len(words[0]) >= SHORTEST else "-".join(words[:2])

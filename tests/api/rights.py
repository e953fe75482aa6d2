"""What every act of the hub needs, and a body that is right, so that only rights can refuse it.

By method and address, `{}` for each parameter. `{word}` in a body is the identifier of that thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from hub.federations.permissions import STANDINGS
from hub.organisations.permissions import ROLES, Permission
from tests.factories.runs import PLAN


class Of(Enum):
    """Whose right it is."""

    ANYBODY = auto()  # who has signed in
    MEMBERS = auto()  # any member of a federation that the thing belongs to
    ORGANISATION = auto()  # the role in the organisation
    FEDERATION = auto()  # the role, and the organisation's place in the federation
    LEAD = auto()  # the role, in the organisation that leads
    MAKER = auto()  # who began it, or was given it; to others it is not there
    OPERATORS = auto()


@dataclass(frozen=True)
class Need:
    of: Of
    permission: Permission | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    hides: bool = False  # to whom it is not allowed, it is not there

    @property
    def is_about_something(self) -> bool:
        """Its body names a thing of somebody's."""
        return re.search(r"\{[a-z-]+\}", str(self.body)) is not None

    def allows(self, standing: str, role: str) -> bool:
        if self.permission is None:
            return self.of in {Of.ANYBODY, Of.MEMBERS}
        may = self.permission in ROLES[role] and (self.of != Of.LEAD or standing == "lead")
        return may and (self.of != Of.FEDERATION or self.permission in STANDINGS[standing])


def anybody(**body: Any) -> Need:
    return Need(Of.ANYBODY, None, body)


def members(**body: Any) -> Need:
    return Need(Of.MEMBERS, None, body)


def organisation(permission: Permission, **body: Any) -> Need:
    return Need(Of.ORGANISATION, permission, body)


def federation(permission: Permission, **body: Any) -> Need:
    return Need(Of.FEDERATION, permission, body)


def lead(permission: Permission, **body: Any) -> Need:
    return Need(Of.LEAD, permission, body)


def hidden(permission: Permission) -> Need:
    return Need(Of.ORGANISATION, permission, hides=True)


MAKER, OPERATORS = Need(Of.MAKER), Need(Of.OPERATORS)
WHY = {"reason": "because of this"}
BASE = {"slug": "another", "name": "Another", "licence": "MIT"}
PROBE = {"statement": "Ours.", "licence": "CC0-1.0"}
SHA = "c" * 64

API: Mapping[str, Need] = {
    "POST runs": federation(
        Permission.START_RUNS,
        federation="{federations}",
        name="One",
        plan=PLAN.model_dump(mode="json"),
    ),
    "POST runs/{}/alone": federation(Permission.START_RUNS),
    "POST runs/{}/cancel": federation(Permission.START_RUNS),
    "POST runs/{}/pause": federation(Permission.START_RUNS),
    "POST runs/{}/resume": federation(Permission.START_RUNS),
    "POST runs/{}/start": federation(Permission.START_RUNS),
    "POST rounds/{}/recompute": federation(Permission.START_RUNS, methods=["mean"]),
    "POST rounds/{}/replay": federation(Permission.START_RUNS),
    "POST rounds/{}/stack": members(),
    "POST updates/{}/accept": federation(Permission.JUDGE_UPDATES, **WHY),
    "POST updates/{}/reject": federation(Permission.JUDGE_UPDATES, **WHY),
    "POST version-comparison": anybody(versions=["{versions}"]),
    "POST versions/{}/try": members(text="Hello"),
    "POST versions/{}/merge": members(),
    "POST versions/{}/release": lead(Permission.VOTE, **WHY),
    "POST versions/{}/retire": federation(Permission.CURATE_VERSIONS, **WHY),
    "POST proposals": federation(
        Permission.MAKE_PROPOSALS, federation="{federations}", kind="dissolve", **WHY
    ),
    "POST proposals/{}/vote": federation(Permission.VOTE, choice="abstain"),
    "POST proposals/{}/withdraw": lead(Permission.MAKE_PROPOSALS, **WHY),
    "POST federations/{}/charter": federation(
        Permission.STEER_FEDERATIONS, text="1. Another text.", **WHY
    ),
    "POST federations/{}/policy": federation(Permission.STEER_FEDERATIONS, policy={}, **WHY),
    "POST participations/{}/sign": organisation(Permission.SIGN_CHARTERS, charter_digest=SHA),
    "POST federations/{}/invitations": federation(
        Permission.STEER_FEDERATIONS, email="new@else.example"
    ),
    "POST invitations": OPERATORS,
    "POST invitations/{}/accept": MAKER,
    "POST invitations/{}/decline": MAKER,
    "POST invitations/{}/resend": hidden(Permission.MANAGE_PEOPLE),
    "POST invitations/{}/revoke": hidden(Permission.MANAGE_PEOPLE),
    "POST organisations/{}/invitations": organisation(
        Permission.MANAGE_PEOPLE, email="new@else.example", role="scientist"
    ),
    "POST organisations/{}/roles": organisation(
        Permission.MANAGE_ROLES, name="Another", permissions=["organisation.see"]
    ),
    "PUT organisations/{}/roles/{}": organisation(
        Permission.MANAGE_ROLES, name="Another", permissions=["organisation.see"]
    ),
    "DELETE organisations/{}/roles/{}": organisation(Permission.MANAGE_ROLES),
    "PUT organisations/{}": organisation(
        Permission.EDIT_ORGANISATION,
        contact_email="a@b.example",
        country="",
        description="",
        website="",
    ),
    "PATCH organisations/{}/members/{}": organisation(Permission.MANAGE_PEOPLE, role="auditor"),
    "POST notices/{}/read": MAKER,
    "POST notices/read": anybody(),
    "PATCH notice-settings": anybody(digest_hour=7),
    "POST webhooks": organisation(
        Permission.MANAGE_WEBHOOKS,
        organisation="{organisations}",
        name="Ours",
        url="https://hooks.example/x",
        kinds=["run_failed"],
    ),
    "PUT webhooks/{}": organisation(Permission.MANAGE_WEBHOOKS, name="Ours", kinds=["run_failed"]),
    "DELETE webhooks/{}": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhooks/{}/disable": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhooks/{}/enable": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhooks/{}/rotate": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhook-deliveries/{}/replay": organisation(Permission.MANAGE_WEBHOOKS),
    "POST aliases": federation(Permission.CURATE_VERSIONS, version="{versions}", name="second"),
    "POST aliases/{}/remove": federation(Permission.CURATE_VERSIONS),
    "POST pushes": federation(
        Permission.PUSH_VERSIONS,
        version="{versions}",
        endpoint="https://huggingface.co",
        repo="ada/copy",
        token="hf_secret",
    ),
    "POST probes": federation(
        Permission.CURATE_VERSIONS,
        federation="{federations}",
        examples=[{"text": "a", "label": "ham"}],
        **PROBE,
    ),
    "POST valuations": federation(
        Permission.CURATE_VERSIONS, round="{rounds}", spec={"method": "leave_one_out"}
    ),
    "POST cases/{}/answer": members(text="We did not."),
    "POST cases/{}/dismiss": lead(Permission.DECIDE_CASES, **WHY),
    "POST cases/{}/uphold": lead(Permission.DECIDE_CASES, **WHY),
    "POST base-models/{}/accept": organisation(
        Permission.SIGN_CHARTERS, organisation="{organisations}", licence_digest=SHA
    ),
    "POST base-model-drafts": organisation(
        Permission.BRING_BASES, organisation="{organisations}", **BASE
    ),
    "POST base-model-drafts/mirrors": OPERATORS,
    "POST base-model-drafts/{}/close": MAKER,
    "POST base-model-drafts/{}/register": MAKER,
    "POST base-model-drafts/{}/files": Need(
        Of.MAKER, None, {"path": "x.json", "sha256": SHA, "size_bytes": 9}
    ),
    "PATCH base-model-files/{}": anybody(),
    "POST tokens": anybody(name="notebook"),
    "DELETE tokens/{}": MAKER,
    "POST organisations": anybody(name="Another", contact_email="a@another.example"),
    "POST organisations/{}/approve": OPERATORS,
    "POST organisations/{}/refuse": OPERATORS,
    "POST organisations/{}/reinstate": OPERATORS,
    "POST organisations/{}/suspend": OPERATORS,
    "POST organisations/{}/enrolment-codes": organisation(Permission.MANAGE_AGENTS),
    "DELETE organisations/{}/members/{}": organisation(Permission.MANAGE_PEOPLE),
    "PATCH agents/{}": organisation(Permission.MANAGE_AGENTS, name="renamed"),
    "POST agents/{}/revoke": organisation(Permission.MANAGE_AGENTS, **WHY),
    "POST federations": organisation(
        Permission.FOUND_FEDERATIONS,
        organisation="{organisations}",
        name="Another",
        charter="1. We agree.",
        base_model="{base-models}",
    ),
    "POST federations/{}/describe": federation(
        Permission.STEER_FEDERATIONS, intended_use="x", limits="y"
    ),
    "POST federations/{}/join": organisation(
        Permission.SIGN_CHARTERS, organisation="{organisations}", charter_digest=SHA
    ),
    "POST participations/{}/declarations": organisation(
        Permission.SIGN_CHARTERS, train_examples=9, test_examples=9
    ),
    "POST participations/{}/approve": federation(Permission.ADMIT_MEMBERS),
    "POST participations/{}/refuse": federation(Permission.ADMIT_MEMBERS, **WHY),
    "POST participations/{}/leave": organisation(Permission.SIGN_CHARTERS),
    "POST participations/{}/stay": organisation(Permission.SIGN_CHARTERS),
    "POST participations/{}/rank": organisation(Permission.START_RUNS, rank=4),
    "POST participations/{}/statement": organisation(Permission.SIGN_CHARTERS, statement="Ours."),
}

PAGES: Mapping[str, Need] = {
    "POST account/": anybody(name="Another"),
    "POST account/language": anybody(),
    "POST account/tokens": anybody(name="notebook", days="7", scope="read"),
    "POST account/tokens/{}/revoke": MAKER,
    "POST organisations/register": anybody(),
    "POST organisations/{}/people": organisation(
        Permission.MANAGE_PEOPLE, email="scientist@outside.example", role="scientist"
    ),
    "POST organisations/{}/people/{}/remove": organisation(Permission.MANAGE_PEOPLE),
    "POST agents/enrol": anybody(),
    "POST agents/codes/{}/revoke": organisation(Permission.MANAGE_AGENTS),
    "POST agents/{}/rename": organisation(Permission.MANAGE_AGENTS, name="renamed"),
    "POST agents/{}/revoke": organisation(Permission.MANAGE_AGENTS),
    "POST federations/new": anybody(),
    "POST federations/{}/join": anybody(),
    "POST federations/{}/description": federation(
        Permission.STEER_FEDERATIONS, intended_use="x", limits="y"
    ),
    "POST participations/{}/statement": organisation(Permission.SIGN_CHARTERS, statement="Ours."),
    "POST participations/{}/declaration": organisation(
        Permission.SIGN_CHARTERS, train_examples=9, test_examples=9
    ),
    "POST participations/{}/approve": federation(Permission.ADMIT_MEMBERS),
    "POST participations/{}/refuse": federation(Permission.ADMIT_MEMBERS, **WHY),
    "POST participations/{}/leave": organisation(Permission.SIGN_CHARTERS),
    "POST participations/{}/rank": organisation(Permission.START_RUNS, rank=4),
    "POST versions/{}/push": federation(
        Permission.PUSH_VERSIONS,
        endpoint="https://huggingface.co",
        repo="ada/copy",
        token="hf_secret",
    ),
    "POST versions/{}/try": members(text="Hello"),
    "POST versions/{}/release": lead(Permission.VOTE, **WHY),
    "POST versions/{}/retire": federation(Permission.CURATE_VERSIONS, **WHY),
    "POST versions/{}/merge": members(),
    "POST versions/{}/propose": federation(Permission.MAKE_PROPOSALS, **WHY),
    "POST versions/{}/name": federation(Permission.CURATE_VERSIONS, name="second"),
    "POST federations/{}/proposals/new": federation(Permission.MAKE_PROPOSALS),
    "POST proposals/{}/vote": members(choice="yes"),
    "POST proposals/{}/withdraw": members(),
    "POST participations/{}/stay": organisation(Permission.SIGN_CHARTERS),
    "POST rounds/{}/without/{}": federation(Permission.START_RUNS),
    "POST federations/{}/names/remove": federation(Permission.CURATE_VERSIONS, name="pilot"),
    "POST federations/{}/probes": members(),
    "POST base-models/new": anybody(),
    "POST base-models/mirrors/new": OPERATORS,
    "POST base-models/drafts/{}/files": MAKER,
    "POST base-models/drafts/{}/register": MAKER,
    "POST base-models/drafts/{}/close": MAKER,
    "POST base-models/{}/accept/{}": organisation(Permission.SIGN_CHARTERS, licence_digest=SHA),
    "POST federations/{}/runs/new": members(),
    "POST federations/{}/versions/compare": members(),
    "POST runs/{}/start": federation(Permission.START_RUNS),
    "POST runs/{}/pause": federation(Permission.START_RUNS),
    "POST runs/{}/resume": federation(Permission.START_RUNS),
    "POST runs/{}/cancel": federation(Permission.START_RUNS),
    "POST runs/{}/alone": federation(Permission.START_RUNS),
    "POST rounds/{}/stack": members(),
    "POST rounds/{}/replay": federation(Permission.START_RUNS),
    "POST rounds/{}/methods": federation(Permission.START_RUNS, method="mean"),
    "POST updates/{}/judge": federation(Permission.JUDGE_UPDATES, verdict="accept", **WHY),
    "POST federations/{}/contributions/rewards/{}/split": federation(Permission.GRANT_CREDITS),
    "POST federations/{}/contributions/rewards/{}/correct": MAKER,
    "POST federations/{}/contributions/cases/{}/decide": lead(
        Permission.DECIDE_CASES, decision="uphold", **WHY
    ),
    "POST federations/{}/contributions/cases/{}/answer": members(text="We did not."),
    "POST api/models/{}/{}/paths-info/{}": members(),
    "POST federations/new/{}": anybody(),
    "POST federations/{}/invitations": members(),
    "POST participations/{}/sign": organisation(
        Permission.SIGN_CHARTERS, charter_digest=SHA, licence_digest=SHA, agree="on", accept="on"
    ),
    "POST organisations/{}/people/{}/role": organisation(Permission.MANAGE_PEOPLE, role="auditor"),
    "POST organisations/{}/roles/new": organisation(
        Permission.MANAGE_ROLES, name="Another", permissions=["organisation.see"]
    ),
    "POST organisations/{}/roles/{}": organisation(
        Permission.MANAGE_ROLES, name="Another", permissions=["organisation.see"]
    ),
    "POST organisations/{}/roles/{}/delete": organisation(Permission.MANAGE_ROLES),
    "POST organisations/{}/settings": organisation(Permission.EDIT_ORGANISATION),
    "POST organisations/{}/sign-in": organisation(Permission.EDIT_ORGANISATION),
    "POST organisations/{}/webhooks": organisation(Permission.MANAGE_WEBHOOKS),
    "POST invitations/{}": MAKER,
    "POST invitations/{}/resend": organisation(Permission.MANAGE_PEOPLE),
    "POST invitations/{}/revoke": organisation(Permission.MANAGE_PEOPLE),
    "POST invitations/by/{}": MAKER,
    "POST registrations/{}": anybody(),
    "POST unsubscribe/{}": MAKER,
    "POST inbox/read": anybody(),
    "POST inbox/settings": anybody(),
    "POST inbox/{}/open": MAKER,
    "POST inbox/{}/read": MAKER,
    "POST webhooks/{}": organisation(Permission.MANAGE_WEBHOOKS, name="Ours"),
    "POST webhooks/{}/rotate": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhooks/{}/disable": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhooks/{}/enable": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhooks/{}/remove": organisation(Permission.MANAGE_WEBHOOKS),
    "POST webhooks/deliveries/{}/replay": organisation(Permission.MANAGE_WEBHOOKS),
}
RIGHTS = {key.replace(" ", " api/v1/"): need for key, need in API.items()} | dict(PAGES)

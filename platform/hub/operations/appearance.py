"""How the console looks and where it leads; named in the settings as unfold wants it."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

WEIGHTS = ("50", "100", "200", "300", "400", "500", "600", "700", "800", "900", "950")
GREYS = "#f6f8f7 #eef1f0 #d4dbd9 #bcc6c3 #8f9e9b #617273 #4b5957 #364341 #263132 #161f20 #0f1516"
PETROL = "#eef6f5 #dcebea #b9d8d6 #8fc3c0 #5aa7a5 #2a8f8a #0d5c63 #08444a #0a3a3f #0a2d31 #06201f"

# The console's own pages: name, words, icon.
AT_WORK: Sequence[tuple[str, str, str]] = (
    ("hub", "Hub", "construction"),
    ("jobs", "Queues and jobs", "list_alt"),
    ("workers", "Workers", "manufacturing"),
    ("leases", "Leases and rounds", "pending_actions"),
    ("fleet", "Fleet", "lan"),
    ("storage", "Storage", "hard_drive"),
    ("health", "Database and Redis", "monitor_heart"),
    ("ledger-states", "Ledger states", "account_tree"),
)
# Groups of the sidebar: model, words, icon.
PAGES: Sequence[tuple[str, Sequence[tuple[str, str, str]]]] = (
    (
        "People",
        (
            ("organisations_organisation", "Organisations", "domain"),
            ("organisations_agent", "Agents", "dns"),
            ("organisations_enrolmentcode", "Enrolment codes", "key"),
            ("accounts_user", "People", "group"),
            ("account_emailaddress", "Email addresses", "mail"),
        ),
    ),
    (
        "Training",
        (
            ("federations_federation", "Federations", "handshake"),
            ("federations_participation", "Participations", "assignment_ind"),
            ("federations_proposal", "Proposals", "how_to_vote"),
            ("runs_run", "Runs", "model_training"),
            ("runs_round", "Rounds", "cycle"),
            ("runs_task", "Tasks", "task"),
            ("runs_update", "Updates", "upload"),
        ),
    ),
    (
        "Registry",
        (
            ("catalogue_basemodel", "Base models", "deployed_code"),
            ("catalogue_basemodeldraft", "On their way in", "package_2"),
            ("catalogue_licenceacceptance", "Licences accepted", "gavel"),
            ("catalogue_modelversion", "Model versions", "verified"),
            ("catalogue_alias", "Names of versions", "label"),
            ("catalogue_evaluation", "Evaluations", "monitoring"),
            ("catalogue_probe", "Probe sets", "science"),
            ("catalogue_push", "Copies on other hubs", "ios_share"),
            ("catalogue_artifact", "Artifacts", "database"),
            ("catalogue_upload", "Uploads", "cloud_upload"),
        ),
    ),
    (
        "Records",
        (
            ("contributions_contributionfact", "Contribution facts", "receipt_long"),
            ("contributions_valuation", "Valuations", "balance"),
            ("contributions_case", "Cases", "gavel"),
            ("ledger_head", "Ledgers", "account_tree"),
            ("ledger_entry", "Ledger entries", "format_list_numbered"),
            ("ledger_checkpoint", "Checkpoints", "task_alt"),
            ("notices_mail", "Letters", "mail"),
            ("notices_webhook", "Webhooks", "webhook"),
            ("notices_delivery", "Deliveries", "outgoing_mail"),
            ("common_event", "Events", "history"),
            ("common_outboxmessage", "Outbox", "outbox"),
        ),
    ),
)


def mark(_: HttpRequest) -> str:
    return static("img/mark.svg")


def stylesheet(_: HttpRequest) -> str:
    return static("css/console.css")


def greys(_: HttpRequest) -> dict[str, str]:
    return dict(zip(WEIGHTS, GREYS.split(), strict=True))


def petrol(_: HttpRequest) -> dict[str, str]:
    return dict(zip(WEIGHTS, PETROL.split(), strict=True))


def navigation(_: HttpRequest) -> list[dict[str, object]]:
    overview = {"title": "Overview", "icon": "dashboard", "link": reverse("admin:index")}
    at_work = [
        {"title": title, "icon": icon, "link": reverse(f"admin:{name}")}
        for name, title, icon in AT_WORK
    ]
    groups: list[dict[str, object]] = [{"items": [overview, *at_work]}]
    for title, pages in PAGES:
        groups.append({"title": title, "items": [_item(*page) for page in pages]})
    return groups


def _item(model: str, title: str, icon: str) -> dict[str, object]:
    return {"title": title, "icon": icon, "link": reverse(f"admin:{model}_changelist")}


def account(_: HttpRequest) -> list[dict[str, str]]:
    """The pages' own settings of an account, in place of the admin's password form."""
    return [
        {"title": "Change password", "link": reverse("account_change_password")},
        {"title": "Two-factor authentication", "link": reverse("mfa_index")},
    ]

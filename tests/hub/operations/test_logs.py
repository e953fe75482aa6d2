"""Logs are JSON, know their request or job, and never hold a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from django.test import Client
from django.urls import reverse

from hub.accounts.models import User
from hub.accounts.services import issue_token
from hub.common.logs import HIDDEN, formatter, hide_secrets
from hub.organisations.services import make_enrolment_code
from jobs.app import app, bind_job
from tests.factories.accounts import PASSWORD
from tests.hub.operations.conftest import signed_in
from tests.hub.runs.world import World


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Everything that is logged, at any level, as the processes would write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter())
    root, told = logging.getLogger(), logging.getLogger("django_structlog")
    levels = root.level, told.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    told.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(levels[0])
    told.setLevel(levels[1])


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_no_secret_is_logged(
    written: io.StringIO, world: World, olga: User, client: Client
) -> None:
    _, token = issue_token(user=olga, name="script", days=1, scope="read")
    _, code = make_enrolment_code(
        organisation_id=world.sites[0].agent.organisation_id, user=world.lead
    )
    browser = signed_in(olga)
    browser.get("/console/", {"code": code, "token": token})
    client.post(reverse("account_login"), {"login": olga.email, "password": "wrong-" + PASSWORD})
    client.get("/api/v1/organisations", headers={"Authorization": f"Bearer {token}"})
    client.get(f"/nowhere/{code}", headers={"Authorization": f"Bearer {token}x"})
    logging.getLogger("x").error("%s", f"Bearer {token}", extra={"password": PASSWORD})
    logging.getLogger("x").error("redis://:hunter2@redis:6379/0")

    text = written.getvalue()
    assert len(lines(written)) > 5
    secrets = [PASSWORD, token, token[:20], code, "hunter2", browser.session.session_key]
    assert [secret for secret in secrets if secret in text] == []


def test_every_line_of_a_request_has_its_id(written: io.StringIO, db: None, client: Client) -> None:
    answer = client.get("/nowhere")
    ids = {
        line.get("request_id")
        for line in lines(written)
        if line["logger"] == "django_structlog.middlewares.request"
    }
    assert len(ids) == 1
    assert answer["X-Request-ID"] in ids


def test_a_job_s_lines_say_which_job_and_about_what(written: io.StringIO) -> None:
    class Request:
        args = ("6f0a",)

    class Job:
        name = "default.advance_run"
        request = Request()

    with structlog.contextvars.bound_contextvars():
        bind_job(task=Job())  # type: ignore[arg-type]
        logging.getLogger("hub.runs").info("round closed", extra={"round": 3})
    structlog.contextvars.clear_contextvars()
    (line,) = lines(written)
    assert (line["job"], line["about"], line["round"]) == ("default.advance_run", ["6f0a"], 3)


def test_workers_bind_their_jobs() -> None:
    assert "DjangoStructLogInitStep" in {step.__name__ for step in app.steps["worker"]}


def test_fields_are_hidden_by_name_at_any_depth() -> None:
    event = {"event": "x", "headers": {"Set-Cookie": "a=b", "Accept": "*/*"}, "list": ["Bearer x"]}
    assert hide_secrets(None, "", event) == {
        "event": "x",
        "headers": {"Set-Cookie": HIDDEN, "Accept": "*/*"},
        "list": [f"Bearer {HIDDEN}"],
    }


def test_what_is_no_secret_stays_readable() -> None:
    event = {"event": "round closed", "code": "quorum_missed", "key": "3f", "round": 3}
    assert hide_secrets(None, "", dict(event)) == event

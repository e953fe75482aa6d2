from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from federation.plan import Plan
from tests.conftest import Person


@pytest.fixture(scope="module")
def schema() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema: dict):
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_the_description_is_valid_and_complete(schema, capsys):
    validate_schema(schema)
    assert schema["openapi"] == "3.1.0"
    assert "Warning" not in capsys.readouterr().err


def test_every_operation_says_how_it_refuses(schema):
    for name, operation in operations(schema):
        assert "503" in operation["responses"], name
        refused = operation["responses"]["503"]["content"]
        assert refused["application/problem+json"]["schema"] == {
            "$ref": "#/components/schemas/Problem"
        }


def test_every_operation_says_what_it_does(schema):
    silent = [name for name, o in operations(schema) if not o.get("description")]
    assert not silent


def test_what_creates_says_that_it_needs_a_key(schema):
    create = schema["paths"]["/api/v1/federations"]["post"]
    assert "Idempotency-Key" in [p["name"] for p in create["parameters"]]
    assert "428" in create["responses"]
    tokens = schema["paths"]["/api/v1/tokens"]["post"]
    assert "428" not in tokens["responses"]


def test_the_main_requests_have_examples(schema):
    for path in ("organisations", "federations", "federations/{id}/join", "tokens", "runs"):
        body = schema["paths"][f"/api/v1/{path}"]["post"]["requestBody"]["content"]
        assert body["application/json"]["examples"], path


def test_the_schemes_are_told_apart(schema):
    schemes = schema["components"]["securitySchemes"]
    assert set(schemes) >= {"token", "browser", "signature", "password"}
    lease = schema["paths"]["/api/v1/agent/leases"]["post"]
    assert lease["security"] == [{"signature": []}]


def test_a_plan_s_schema_is_the_plan_s(api_client):
    assert api_client.get("/api/v1/plan-schema").json() == Plan.model_json_schema()


@pytest.mark.django_db
def test_the_root_names_places_that_are_there(ada: Person):
    root = ada.api.get("/api/v1/").json()
    places = {name: url for name, url in root.items() if str(url).startswith("http")}
    assert len(places) > 10
    for url in places.values():
        assert ada.api.get(url).status_code == 200, url


def test_the_reference_works_without_a_network(api_client):
    page = api_client.get("/api/docs")
    text = page.content.decode()
    assert "https://" not in text
    assert re.search(r"<title>\s*API reference\s*· Foedus</title>", text)
    assert 'aria-label="Main"' in text  # the way back
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";")
    )
    assert policy["style-src"] == "'self' 'unsafe-inline'"
    assert policy["script-src"] == "'self'"
    for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
        assert f"swagger-ui-dist/{name}" in text
        assert finders.find(f"drf_spectacular_sidecar/swagger-ui-dist/{name}")


def test_people_come_first_and_agents_last(schema):
    named = [tag["name"] for tag in schema["tags"]]
    used = {tag for _, operation in operations(schema) for tag in operation["tags"]}
    assert set(named) == used
    assert (named[0], named[-1]) == ("start", "agent protocol")


def test_every_operation_has_a_line_of_its_own_in_its_list(schema):
    lines = [(*operation["tags"], operation.get("summary")) for _, operation in operations(schema)]
    assert len(set(lines)) == len(lines)
    assert all(line[-1] and not line[-1].endswith(".") for line in lines)

from __future__ import annotations

import json

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import AsyncClient
from django.urls import reverse

from federation.plan import Plan
from federation.probes import MOST_BYTES, MOST_ROWS, ProbeRefused, misfit, read_probe
from hub.catalogue.evaluation.probes import add_probe, content_of, measured_as, probe_for
from hub.catalogue.models import Artifact, Grant, Probe
from hub.catalogue.selectors import require_artifact
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from hub.federations.models import Federation
from tests.conftest import Person
from tests.pages import browser, words

PLAN = Plan.model_validate(
    {
        "task": {"type": "sequence_classification", "labels": ["ham", "spam", "odd"]},
        "adapter": {"rank": 2, "alpha": 4.0},
    }
)
ROWS = [{"text": "win now", "label": "spam"}, {"label": "ham", "text": "see you at eight"}]
CONTENT = "\n".join(json.dumps(row) for row in ROWS).encode()
ABOUT = {"statement": "Made up.\nBy Ada.", "licence": "CC0-1.0"}


def added(person: Person, federation: Federation, content: bytes = CONTENT, **about: str) -> Probe:
    return add_probe(
        user=person.user, federation_id=federation.pk, content=content, **{**ABOUT, **about}
    )


# --------------------------------------------------------------------- reading


def test_the_same_examples_have_the_same_bytes_however_they_are_written() -> None:
    spaced = b'\xef\xbb\xbf{"label" :"spam","text":"win\\u0020now"}\r\n' + CONTENT.split(b"\n")[1]
    assert read_probe(spaced + b"\n\n").content() == read_probe(CONTENT).content()
    assert read_probe(read_probe(CONTENT).content()).rows == ROWS


def test_some_of_them_are_spread_over_the_set() -> None:
    rows = "\n".join(json.dumps({"text": f"{n}", "label": "ham"}) for n in range(100))
    found = read_probe(rows.encode())
    assert found.examples(4).texts == ["0", "25", "50", "75"]
    assert len(found.examples(1000)) == len(found.examples()) == 100


def line(**row: object) -> bytes:
    return json.dumps(row).encode()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "probe_empty"),
        (b" \n\n", "probe_empty"),
        (b" " * (MOST_BYTES + 1), "probe_too_large"),
        (b"\n".join(line(text=str(n)) for n in range(MOST_ROWS + 1)), "probe_too_many_rows"),
        (b"\xff", "probe_unreadable"),
        (b'{"text": "a"', "probe_unreadable"),
        (b'{"text": "a", "text": "b"}', "probe_unreadable"),
        (b"[" * 100_000, "probe_unreadable"),
        (line(text="a") + b"\n\n" + line(text="b"), "probe_unreadable"),
        (b'["a"]', "probe_row_refused"),
        (line(text="a", colour="red"), "probe_row_refused"),
        (line(label="ham"), "probe_row_refused"),
        (line(text=1), "probe_row_refused"),
        (line(text="  "), "probe_row_refused"),
        (line(text="a\0"), "probe_row_refused"),
        (line(text="\ud800"), "probe_row_refused"),
        (line(text="a" * 20_001), "probe_row_refused"),
        (line(text="a", label="ham\n"), "probe_row_refused"),
        (line(text="a", label="h\u202eam"), "probe_row_refused"),
        (line(messages=[]), "probe_row_refused"),
        (line(messages=[{"role": "user", "content": "a"}]), "probe_row_refused"),
        (line(messages=[{"role": ["user"], "content": "a"}]), "probe_row_refused"),
        (line(messages=[{"role": "assistant"}]), "probe_row_refused"),
        (line(text="a") + b"\n" + line(text="b", label="c"), "probe_rows_differ"),
        (line(text="a") + b"\n" + line(text="a"), "probe_twice"),
    ],
)
def test_what_is_no_probe_set_is_refused_with_a_code(content: bytes, code: str) -> None:
    with pytest.raises(ProbeRefused) as refused:
        read_probe(content)
    assert refused.value.code == code
    refused.value.detail.encode()


def test_a_refusal_never_repeats_a_text() -> None:
    with pytest.raises(ProbeRefused) as refused:
        read_probe(line(text="secret " * 4000))
    assert "secret" not in refused.value.detail


def test_a_plan_is_measured_only_on_what_its_model_can_read() -> None:
    assert misfit("labelled", ["ham"], PLAN) == ""
    assert "'eggs'" in misfit("labelled", ["eggs", "ham"], PLAN)
    assert misfit("texts", [], PLAN)
    chat = PLAN.model_dump(mode="json") | {"task": {"type": "causal_lm"}}
    assert misfit("answers", [], Plan.model_validate(chat)) == ""


def test_what_does_not_matter_to_a_measurement_does_not_part_scores() -> None:
    longer = PLAN.model_copy(update={"rounds": PLAN.rounds.model_copy(update={"count": 9})})
    assert measured_as(longer) == measured_as(PLAN)
    assert measured_as(PLAN.model_copy(update={"seed": 9})) != measured_as(PLAN)


# -------------------------------------------------------------------- services


def test_the_lead_puts_a_set_in_use_that_all_members_may_read(
    ada: Person, blaise: Person, carol: Person, federation: Federation
) -> None:
    probe = added(ada, federation)
    assert (probe.number, probe.rows, probe.labels) == (1, 2, {"ham": 1, "spam": 1})
    assert content_of(probe).rows == ROWS
    assert require_artifact(blaise.user, probe.artifact_id)
    with pytest.raises(NotFound):
        require_artifact(carol.user, probe.artifact_id)
    assert Event.objects.get(kind="federation.probe_added").data["rows"] == 2


def test_sent_again_it_stays_and_another_takes_its_place(
    ada: Person, federation: Federation
) -> None:
    first = added(ada, federation)
    assert added(ada, federation) == first
    second = added(ada, federation, line(text="new", label="odd"))
    third = added(ada, federation)
    assert [second.number, third.number] == [2, 3]
    assert third.artifact == first.artifact
    assert probe_for(federation, PLAN) == (third, "")
    assert Grant.objects.filter(federation=federation).count() == 2


def test_only_the_lead_may(
    ada: Person, blaise: Person, carol: Person, federation: Federation
) -> None:
    with pytest.raises(Forbidden):
        added(blaise, federation)
    with pytest.raises(NotFound):
        added(carol, federation)
    assert not Probe.objects.exists()


@pytest.mark.parametrize(
    "given", [{"content": b"no"}, {"statement": ""}, {"licence": ""}, {"licence": "a\u202eb"}]
)
def test_bad_input_changes_nothing(ada: Person, federation: Federation, given: dict) -> None:
    with pytest.raises(Invalid) as refused:
        added(ada, federation, **given)
    assert refused.value.status == 422
    assert not Probe.objects.exists()
    assert not Artifact.objects.filter(probes__isnull=False).exists()


# ----------------------------------------------------------------------- pages


def sent(content: bytes = CONTENT, **about: str) -> dict[str, object]:
    return {**ABOUT, "file": SimpleUploadedFile("probe.jsonl", content), **about}


def test_a_set_is_uploaded_on_its_page_and_shown_on_the_federation_s(
    ada: Person, blaise: Person, federation: Federation, django_assert_max_num_queries
) -> None:
    client, address = browser(ada.user), reverse("catalogue:probes", args=[federation.slug])
    home = reverse("federations:detail", args=[federation.slug])
    assert "None yet A few labelled examples" in words(client.get(home))
    assert "Probe set 1 is used from the next run on." in words(
        client.post(address, sent(), follow=True)
    )
    added(ada, federation, line(text="new", label="odd"))
    for url, reader in ((address, ada), (address, blaise), (home, blaise)):
        visitor = browser(reader.user)
        with django_assert_max_num_queries(10):
            page = words(visitor.get(url))
        assert "odd (1)" in page
        assert "Made up." in page
        assert "CC0-1.0" in page
        assert ("Upload" in page.split()) == (reader is ada and url == address)


def test_the_examples_can_be_downloaded(ada: Person, blaise: Person, federation) -> None:
    probe = added(ada, federation)
    client = AsyncClient()
    client.force_login(blaise.user)

    async def fetch() -> tuple[str, bytes]:
        answer = await client.get(reverse("catalogue:probe_download", args=[probe.pk]))
        content = b"".join([part async for part in answer])
        return answer.headers["Content-Disposition"], content

    name, content = async_to_sync(fetch)()
    assert content == read_probe(CONTENT).content()
    assert f"{federation.slug}-probe-1.jsonl" in name


def test_what_is_refused_stays_in_the_form(ada: Person, federation: Federation) -> None:
    address = reverse("catalogue:probes", args=[federation.slug])
    page = browser(ada.user).post(address, sent(line(text="a") + b"\nno"))
    assert "Line 2 is not one JSON object" in words(page)
    assert "Made up." in page.content.decode()
    assert "This field is required" in words(browser(ada.user).post(address, ABOUT))
    assert not Probe.objects.exists()


def test_others_cannot_upload_and_strangers_find_nothing(
    ada: Person, blaise: Person, carol: Person, federation: Federation
) -> None:
    probe = added(ada, federation)
    address = reverse("catalogue:probes", args=[federation.slug])
    assert browser(blaise.user).post(address, sent()).status_code == 403
    file = reverse("catalogue:probe_download", args=[probe.pk])
    assert {browser(carol.user).get(url).status_code for url in (address, file)} == {404}
    assert browser(carol.user).post(address, sent()).status_code == 404


# ------------------------------------------------------------------------- API


def body(federation: Federation, **changes: object) -> dict[str, object]:
    return {"federation": str(federation.pk), "examples": ROWS, **ABOUT, **changes}


def test_the_api_takes_lists_and_reads_sets(
    ada: Person, blaise: Person, carol: Person, federation: Federation
) -> None:
    made = ada.api.post("/api/v1/probes", body(federation))
    assert made.status_code == 201
    again = ada.api.post("/api/v1/probes", body(federation))
    assert again.json()["id"] == made.json()["id"]
    (listed,) = blaise.api.get("/api/v1/probes", {"federation": federation.pk}).json()["results"]
    assert listed == made.json()
    assert listed["labels"] == {"ham": 1, "spam": 1}
    assert blaise.api.get(f"/api/v1/probes/{listed['id']}").json() == listed
    assert carol.api.get("/api/v1/probes").json()["results"] == []
    assert carol.api.get(f"/api/v1/probes/{listed['id']}").status_code == 404
    assert carol.api.get("/api/v1/probe-scores").json()["results"] == []


def test_the_api_refuses_with_the_codes(ada: Person, blaise: Person, federation) -> None:
    refused = ada.api.post("/api/v1/probes", body(federation, examples=[{"text": ""}]))
    assert (refused.status_code, refused.json()["code"]) == (422, "probe_row_refused")
    empty = ada.api.post("/api/v1/probes", body(federation, examples=[]))
    assert empty.json()["code"] == "probe_empty"
    assert blaise.api.post("/api/v1/probes", body(federation)).status_code == 403

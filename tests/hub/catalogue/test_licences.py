"""Accepting a base model's licence, and what is closed until then."""

from __future__ import annotations

from uuid import uuid4

import pytest

from hub.catalogue.bases.licences import accept_licence, record_acceptance
from hub.catalogue.errors import LicenceNotAccepted, LicencesMissing
from hub.catalogue.models import BaseModel
from hub.catalogue.selectors import has_accepted, require_accepted, require_artifact
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.runs import services
from hub.runs.models import Run
from tests.factories.catalogue import BaseModelFactory, sha256_hex
from tests.factories.organisations import AgentFactory, MembershipFactory
from tests.hub.runs.world import make_world, plan_of

pytestmark = pytest.mark.django_db

TEXT = "You may use it for good."
CONTENT = b"weights"
SHA256 = sha256_hex(CONTENT)


@pytest.fixture
def base(settings, tmp_path) -> BaseModel:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"
    return BaseModelFactory(
        name="Tiny", licence_text=TEXT, must_accept=True, files={"model.safetensors": CONTENT}
    )


def accept(person, base: BaseModel, **changes):
    said = {
        "user": person.user,
        "organisation_id": person.organisation.pk,
        "base_model_id": base.pk,
        "licence_digest": sha256_hex(TEXT.encode()),
    }
    return accept_licence(**{**said, **changes})


def test_until_an_owner_accepts_people_and_agents_get_no_file(ada, blaise, base):
    agent = AgentFactory(organisation=ada.organisation)
    for reader in (ada.user, agent, blaise.user):
        assert not has_accepted(reader, base)
        with pytest.raises(LicenceNotAccepted):
            require_accepted(reader, base)
        with pytest.raises(LicenceNotAccepted):
            require_artifact(reader, SHA256)
    accept(ada, base)
    for reader in (ada.user, agent):
        assert has_accepted(reader, base)
        assert require_artifact(reader, SHA256).sha256 == SHA256
    with pytest.raises(LicenceNotAccepted):
        require_artifact(blaise.user, SHA256)


def test_accepted_twice_is_accepted_once_and_says_who_when_and_what(ada, base):
    first = accept(ada, base)
    assert accept(ada, base) == first
    assert (first.accepted_by, first.licence_digest) == (ada.user, sha256_hex(TEXT.encode()))
    event = Event.objects.get(kind="organisation.licence_accepted")
    assert event.data["licence_digest"] == first.licence_digest
    assert sentence(event) == "Ada accepted Apache-2.0 of Tiny"


def test_only_an_owner_who_has_read_the_text_accepts(ada, blaise, base):
    scientist = MembershipFactory(organisation=ada.organisation, role="scientist").user
    with pytest.raises(Forbidden):
        accept(ada, base, user=scientist)
    with pytest.raises(NotFound):
        accept(ada, base, user=blaise.user)
    with pytest.raises(NotFound):
        accept(ada, base, base_model_id=uuid4())
    with pytest.raises(Invalid):
        accept(ada, base, licence_digest="0" * 64)
    assert not base.acceptances.exists()


def test_a_licence_that_nobody_must_accept_is_open_to_everybody(carol, settings, tmp_path):
    settings.BLOB_FOLDER, settings.UPLOAD_FOLDER = tmp_path / "blobs", tmp_path / "uploads"
    base = BaseModelFactory(licence_text=TEXT, files={"model.safetensors": CONTENT})
    assert has_accepted(carol.user, base)


def test_the_api_says_what_is_missing_and_takes_the_acceptance(ada, base):
    refused = ada.api.get(f"/api/v1/blobs/{SHA256}")
    assert (refused.status_code, refused.json()["code"]) == (403, "licence_not_accepted")
    assert refused.json()["base_model"] == base.repo
    shown = ada.api.get(f"/api/v1/base-models/{base.pk}").json()
    assert (shown["must_accept"], shown["licence_text"]) == (True, TEXT)
    body = {
        "organisation": str(ada.organisation.pk),
        "licence_digest": shown["licence_digest"],
    }
    for _ in range(2):
        answer = ada.api.post(f"/api/v1/base-models/{base.pk}/accept", body)
        assert (answer.status_code, answer.json()["accepted_by"]) == (201, "Ada")
    assert ada.api.head(f"/api/v1/blobs/{SHA256}").status_code == 200


def test_a_file_that_another_open_model_shares_is_open(ada, base):
    BaseModelFactory(files={"model.safetensors": CONTENT})
    assert require_artifact(ada.user, SHA256).sha256 == SHA256


def test_a_run_starts_once_all_who_take_part_have_accepted(base, tmp_path):
    world = make_world(tmp_path)
    BaseModel.objects.filter(pk=world.federation.base_model_id).update(must_accept=True)
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="First", plan=plan_of()
    )
    for site in world.sites:
        name = site.agent.organisation.name
        with pytest.raises(LicencesMissing, match=name) as refused:
            services.start_run(user=world.lead, run_id=run.pk)
        assert name in refused.value.extra["organisations"]
        assert Run.objects.get(pk=run.pk).state == "draft"
        base_model = BaseModel.objects.get(pk=world.federation.base_model_id)
        owner = MembershipFactory(organisation=site.agent.organisation).user
        record_acceptance(user=owner, organisation=site.agent.organisation, base=base_model)
    for _ in range(2):
        assert services.start_run(user=world.lead, run_id=run.pk).state == "queued"

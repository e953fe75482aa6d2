from __future__ import annotations

import pytest

from hub.catalogue.models import Upload
from hub.organisations.models import Agent
from tests.buckets import bucket, s3  # noqa: F401  (fixtures)
from tests.factories.catalogue import begin
from tests.factories.organisations import AgentFactory
from tests.hub.catalogue.uploading import CONTENT


@pytest.fixture
def folders(settings, tmp_path) -> None:
    settings.BLOB_FOLDER = tmp_path / "blobs"
    settings.UPLOAD_FOLDER = tmp_path / "uploads"


@pytest.fixture
def agent() -> Agent:
    return AgentFactory()


@pytest.fixture
def upload(folders, agent) -> Upload:
    return begin(agent, CONTENT)

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from hub.catalogue.models import Upload
from hub.organisations.models import Agent
from tests.factories.catalogue import begin
from tests.factories.organisations import AgentFactory
from tests.hub.catalogue.uploading import CONTENT

REGION = "eu-west-1"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """An S3 server of its own; boto3 finds credentials in the environment, as it does in use."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ACCESS_KEY_ID", "ada")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "lovelace")
    patch.setenv("AWS_DEFAULT_REGION", REGION)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    patch.undo()


@pytest.fixture
def bucket(s3: str) -> tuple[str, str]:
    """A new bucket, and where it is."""
    name = f"b{uuid4().hex}"
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.close()
    return name, s3


# For the tests of uploads.


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

"""A round on a hub whose artifacts lie in a bucket: uploaded, judged, aggregated, downloaded."""

from __future__ import annotations

import shutil

import httpx
import pytest

from federation.protocol import UploadIn
from federation.tensors import sha256_of
from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import Artifact
from hub.runs import services
from tests.buckets import bucket, s3  # noqa: F401  (fixtures)
from tests.hub.runs.world import World, make_world, plan_of

pytestmark = pytest.mark.django_db


class Uploading(World):
    """A world whose agents send their updates as real ones do, and jobs find no copy on disk."""

    def upload(self, site, offer, path) -> None:
        content, sha256 = path.read_bytes(), sha256_of(path)
        message = UploadIn(fence=offer.fence, sha256=sha256, size_bytes=len(content))
        upload = services.begin_update_upload(agent=site.agent, task_id=offer.id, message=message)
        with path.open("rb") as body:
            uploads.append(upload=upload, offset=0, length=len(content), body=body)


def test_a_round_is_uploaded_judged_aggregated_and_downloaded(bucket, settings, tmp_path):  # noqa: F811
    settings.BLOB_FOLDER, settings.UPLOAD_FOLDER = tmp_path / "copies", tmp_path / "uploads"
    settings.BLOB_BUCKET, settings.BLOB_ENDPOINT = bucket
    settings.BLOB_LINK_ENDPOINT, settings.BLOB_LINK_BYTES = bucket.endpoint, 0
    made = make_world(tmp_path)
    world = Uploading(made.federation, made.lead, made.sites, made.folder)
    run = world.start_run(plan_of(count=1))
    for site in world.sites:
        world.train(site)
    shutil.rmtree(settings.BLOB_FOLDER, ignore_errors=True)  # copies may go at any time
    world.aggregate(run)
    version = world.federation.versions.get(number=1)
    there = dict(store().stored())
    assert there == dict(Artifact.objects.values_list("pk", "size_bytes"))
    for file in version.files.select_related("artifact"):
        artifact = file.artifact
        link = store().link(artifact.sha256, size_bytes=artifact.size_bytes, filename=file.path)
        got = httpx.get(str(link))
        assert got.content == store().local_path(artifact.sha256).read_bytes()
        assert file.path in got.headers["Content-Disposition"]

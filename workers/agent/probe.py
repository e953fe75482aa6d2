"""What torch finds on this machine, as JSON; a program of its own, since torch is heavy.

python -m agent.probe
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NEEDED = ("torch", "transformers", "peft", "safetensors")


def main() -> None:
    missing = [name for name in NEEDED if not _is_importable(name)]
    found: dict[str, Any] = {"missing": missing, "devices": []}
    if "torch" not in missing:
        import torch

        found |= {"torch": torch.__version__, "cuda": torch.version.cuda or torch.version.hip}
        found["devices"] = list(_devices(torch))
    print(json.dumps(found))  # noqa: T201 (its whole purpose)


def _is_importable(name: str) -> bool:
    try:
        import_module(name)
    except (ImportError, OSError):  # a library of the system that it needs may be missing
        return False
    return True


def _devices(torch: Any) -> Iterator[dict[str, object]]:
    """Accelerators; ROCm goes by the name of CUDA in torch."""
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        facts = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        yield {
            "device": f"{'rocm' if torch.version.hip else 'cuda'}:{number}",
            "name": facts.name,
            "memory": total,
            "free": free,
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
            "4-bit": find_spec("bitsandbytes") is not None,
            "works": _works(torch, f"cuda:{number}"),
        }
    if torch.backends.mps.is_available():
        facts = {"device": "mps", "name": "Apple GPU", "memory": 0, "free": 0}
        yield {**facts, "bf16": True, "4-bit": False, "works": _works(torch, "mps")}


def _works(torch: Any, device: str) -> bool:
    """Whether this torch has code for this device: a product of matrices comes out right."""
    try:
        ones = torch.ones(8, 8, device=device)
        return bool((ones @ ones).sum().item() == 512)  # noqa: PLR2004 (8 · 8 · 8)
    except RuntimeError:
        return False


if __name__ == "__main__":
    main()

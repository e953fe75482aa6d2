"""How busy the device is that this process works on; torch is not loaded to find out."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress


class Load:
    """A share between 0 and 1, from look to look."""

    def __init__(self) -> None:
        self._looked_at = time.perf_counter(), time.process_time()

    def share(self) -> float | None:
        """Of a card as its driver says it, else of all cores; None where nobody knows."""
        torch = sys.modules.get("torch")
        if torch and torch.cuda.is_initialized():
            with suppress(ImportError, RuntimeError):  # the driver's library is the site's to add
                return float(torch.cuda.utilization()) / 100
            return None
        if torch and torch.backends.mps.is_available():
            return None
        return self._of_cores()

    def _of_cores(self) -> float | None:
        before, now = self._looked_at, (time.perf_counter(), time.process_time())
        self._looked_at = now
        elapsed, worked = (after - earlier for after, earlier in zip(now, before, strict=True))
        return min(1.0, worked / elapsed / (os.cpu_count() or 1)) if elapsed > 0 else None

"""The adapter of a plan in words for a page; what is exported says it in English by itself."""

from __future__ import annotations

from django.utils.translation import gettext as _

from federation.plan_adapters import AdapterPart, Ia3, Lora, PromptTuning


def adapter_in_words(adapter: AdapterPart) -> str:
    """«LoRA of rank 8 on query, value», as `adapter.in_words` has it, in the reader's language."""
    if isinstance(adapter, PromptTuning):
        return _("a prompt of %(tokens)s learnt tokens") % {"tokens": adapter.virtual_tokens}
    if isinstance(adapter, Ia3):
        return _("IA³ on %(layers)s") % {"layers": ", ".join(adapter.targets)}
    if isinstance(adapter, Lora):
        kind, _by, _rest = adapter.in_words.partition(" of rank ")
        told = {"kind": kind, "rank": adapter.rank, "layers": ", ".join(adapter.targets)}
        return _("%(kind)s of rank %(rank)s on %(layers)s") % told
    return _("all layers in full")

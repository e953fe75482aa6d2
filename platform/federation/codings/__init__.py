"""Codecs: how an update is made smaller for its way to the hub, and larger again there.

Only what travels is coded. The hub decodes an update to fp32 before it looks at its values, so
everything behind it is the same for all codecs. A new one is a file here, its import, and its form
in `federation.coded`.
"""

from federation.codings import bf16, int8, nf4
from federation.codings.base import Codec, Coded, codecs
from federation.codings.files import Feedback, decoded, encode_update

__all__ = [
    "Codec",
    "Coded",
    "Feedback",
    "bf16",
    "codecs",
    "decoded",
    "encode_update",
    "int8",
    "nf4",
]

"""Transforms of updates beside the strategy; both sides of each in one class."""

from federation.transforms.base import transforms
from federation.transforms.clip import NormClip

__all__ = ["NormClip", "transforms"]

"""The name of the model that ships."""

from __future__ import annotations

DEFAULT_MODEL = "vfi"
"""Serves every stream that names no other; it is part of Sentinel."""

"""The table of clean drift: how far clean footage of fixed cameras moved from a baseline of another part of it.

A modality may ship one; `common.drift.clean_drift` makes use of it.
"""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message


class ClipDrift(Message):
    """Clean windows of one clip against a baseline of another part of it.

    `own` and `windows` have a number for each of the table's columns, in its order; a joint group has one column.
    """

    camera: str
    golden: str = Field(description="the part of the clip that was golden")
    own: tuple[float, ...] = Field(description="bound of the golden part's own variation, without any minimum effect")
    windows: tuple[tuple[float, ...], ...] = Field(description="distances of disjoint windows of the rest")


class DriftTable(Message):
    """The table as it is stored."""

    format: int = Field(1, ge=1, le=1)
    columns: tuple[str, ...] = Field(description="names of compared columns; of a joint group, its own")
    clips: tuple[ClipDrift, ...]

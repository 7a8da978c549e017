"""Baselines of early 0.4, which were fitted to clips alone: verified by the digest of then."""

from __future__ import annotations

from pydantic import Field

from common.baselines.format_2 import Clip
from common.contracts.batches import FeatureSpec
from common.contracts.feature_groups import FeatureGroup, GroupKind, TileSummary
from common.contracts.ids import Message
from common.drift.manifest import BaselineManifest, ClipSummary
from common.drift.windows import WindowRule

FORMAT = 4


class Group(Message):
    """A feature group, before it said what light does to its columns."""

    name: str
    kind: GroupKind
    size: int
    columns: tuple[str, ...] = ()
    minimum_effects: tuple[float, ...]
    tiles: dict[str, str] = Field(default_factory=dict)
    steps_of: str | None = None

    def group(self) -> FeatureGroup:
        """Return the group as this version has it. What `layout` was compared by is gone, and so are its sensors."""
        tiles = dict.fromkeys(self.tiles, TileSummary.SHARED)
        return FeatureGroup(**{**self.model_dump(), "tiles": tiles})


class Manifest(Message):
    """The manifest. The digest is computed over its JSON, so fields and their order must not change."""

    name: str
    feature_spec: FeatureSpec
    rule: WindowRule
    groups: tuple[Group, ...]
    clips: tuple[Clip, ...]
    null_false_alarms: float
    false_alarm_rate_held: float
    libraries: dict[str, str]
    created_at: float

    def manifest(self) -> BaselineManifest:
        """Return the manifest as this version has it."""
        return BaselineManifest(
            **{name: getattr(self, name) for name in type(self).model_fields if name not in {"groups", "clips"}},
            groups=tuple(group.group() for group in self.groups),
            clips=tuple(ClipSummary.model_validate(clip.model_dump()) for clip in self.clips),
        )


class File(Message):
    """The content of `baseline.json`."""

    format: int
    digest: str
    manifest: Manifest
    replay: str | None = None

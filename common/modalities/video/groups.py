"""The feature groups of video: the backbone's embedding, and the readings of the camera-quality sensors."""

from __future__ import annotations

from collections.abc import Mapping

from common.contracts.feature_groups import (
    FeatureGroup,
    GroupKind,
    SequenceColumn,
    SequenceSummary,
    TileSummary,
)
from common.modalities.video.sensors import MINIMUM_EFFECTS, SENSOR_NAMES
from common.modalities.video.sensors.light import LUMA, STRIP

EMBEDDING = "embedding"
QUALITY = "quality"
# The distance between two samples of the same footage, W1 / spread averaged over the dimensions, is seldom smaller
# (MEASURED: 0.28 at 20 independent frames, 0.1 at 200). A smaller bound would only reflect that the footage was still.
EMBEDDING_MINIMUM_EFFECT = 0.15
_LAYOUT = "layout"
# Of light, in natural logs. Exposure that follows the scene takes a second or more, so its steps are ten times smaller
# than those of a lamp that flickers.
SEQUENCES: Mapping[str, SequenceColumn] = {
    "flicker": SequenceColumn(family=LUMA, summary=SequenceSummary.STEP, minimum_effect=0.015),
    "banding": SequenceColumn(family=STRIP, summary=SequenceSummary.UNEVEN_STEP, minimum_effect=0.015),
    "light_swing": SequenceColumn(family=LUMA, summary=SequenceSummary.SWING, minimum_effect=0.012),
}


def feature_groups(
    embedding_size: int,
    sensor_names: tuple[str, ...] = SENSOR_NAMES,
    minimum_effects: tuple[float, ...] = MINIMUM_EFFECTS,
    sequences: Mapping[str, SequenceColumn] = SEQUENCES,
) -> tuple[FeatureGroup, ...]:
    """Return the groups of video.

    Readings that are called `family.NN` are the tiles of a family. Those of a family whose name starts with `layout`
    are compared by how much they are rearranged, others by what they have in common. An object that passes through a
    few tiles does not change the column; a fault of the camera changes all tiles.

    Parameters
    ----------
    embedding_size : number of features of the backbone
    sensor_names, minimum_effects : (q,) of the sensors' readings
    sequences : columns made from the sequence of samples; baselines of before 0.4 have none
    """
    families = dict.fromkeys(family for name in sensor_names if (family := _family(name)))
    return (
        FeatureGroup(
            name=EMBEDDING, kind=GroupKind.JOINT, size=embedding_size, minimum_effects=(EMBEDDING_MINIMUM_EFFECT,)
        ),
        FeatureGroup(
            name=QUALITY,
            kind=GroupKind.COLUMNS,
            size=len(sensor_names),
            columns=sensor_names,
            minimum_effects=minimum_effects,
            tiles={family: _summary(family) for family in families},
            sequences=dict(sequences),
            steps_of=EMBEDDING,
        ),
    )


def _summary(family: str) -> TileSummary:
    if family == STRIP:
        return TileSummary.NONE
    return TileSummary.REARRANGED if family.startswith(_LAYOUT) else TileSummary.SHARED


def _family(name: str) -> str:
    """Return the family of a tile; empty for a single reading."""
    family, dot, tile = name.rpartition(".")
    return family if dot and tile.isdigit() else ""

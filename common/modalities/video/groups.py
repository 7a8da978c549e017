"""The feature groups of video: the backbone's embedding, and the readings of the camera-quality sensors."""

from __future__ import annotations

from collections.abc import Set

from common.contracts.feature_groups import REPEATED, Ambient, FeatureGroup, GroupKind, SteadyColumn, TileSummary
from common.modalities.video.sensors import MINIMUM_EFFECTS, SENSOR_NAMES

EMBEDDING = "embedding"
QUALITY = "quality"
# The distance between two samples of the same footage, W1 / spread averaged over the dimensions, is seldom smaller
# (MEASURED: 0.28 at 20 independent frames, 0.1 at 200). A smaller bound would only reflect that the footage was still.
EMBEDDING_MINIMUM_EFFECT = 0.15
_LAYOUT = "layout"
_LIGHT, _INFRARED = "luma", "saturation"

# What light hardly moves, measured on cameras known for half a minute before clouds came: at these effects no clean
# window failed, at those of known hours nine in ten did. Black over white leaves gain and exposure alone and shows fog;
# dusk moves it by up to 0.9 from noon.
_STEADY = (
    SteadyColumn(column="noise", minimum_effect=0.4, at_similar_light=True),
    SteadyColumn(column="edge_peak", minimum_effect=0.16),
    SteadyColumn(column="edge_typical", minimum_effect=0.2),
    SteadyColumn(column="blockiness", minimum_effect=0.25),
    SteadyColumn(column="black_level", minimum_effect=0.9, over="white_level"),
    SteadyColumn(column="flat_area", minimum_effect=0.2),
)
# Clouds take more than the two frames of a step. In 14 minutes of clean footage no step was larger than 0.17 in luma,
# 0.024 in the balances and 0.03 in saturation.
_STEPS = {"luma": 0.2, "red_balance": 0.036, "blue_balance": 0.036, "saturation": 0.06}
# A picture without anything in it, and one that stands still: half of all frames repeat where a camera's are doubled.
_WITHOUT_HISTORY = {"blackout": 0.05, REPEATED: 0.9}
# In clean footage of 13 cameras and a week of a webcam's nights at most 0.53 of the picture is flat, and 0.41 dark and
# calm; of fully covered ones it is 0.90 or more in 19 of 20.
_COVERED = {"flat_area": 0.8, "dark_area": 0.8}
_INFRARED_BELOW = 0.02  # saturation; pictures by infra-red light are grey


def feature_groups(
    embedding_size: int,
    sensor_names: tuple[str, ...] = SENSOR_NAMES,
    minimum_effects: tuple[float, ...] = MINIMUM_EFFECTS,
) -> tuple[FeatureGroup, ...]:
    """Return the groups of video.

    Readings that are called `family.NN` are the tiles of a family. Those of a family whose name starts with `layout`
    are compared by how much they are rearranged, others by what they have in common. An object that passes through a
    few tiles does not change the column; a fault of the camera changes all tiles.

    Parameters
    ----------
    embedding_size : number of features of the backbone
    sensor_names, minimum_effects : (q,) of the sensors' readings
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
            tiles={
                family: TileSummary.REARRANGED if family.startswith(_LAYOUT) else TileSummary.SHARED
                for family in families
            },
            steps_of=EMBEDDING,
            ambient=_ambient({*sensor_names, *families, REPEATED}),
        ),
    )


def _ambient(columns: Set[str]) -> Ambient | None:
    """Return what light does to the columns that there are; None if the level of light is not among them."""
    if not {_LIGHT, _INFRARED} <= columns:
        return None
    return Ambient(
        light=_LIGHT,
        infrared=_INFRARED,
        infrared_below=_INFRARED_BELOW,
        steady=tuple(row for row in _STEADY if {row.column, row.over or row.column} <= columns),
        steps={name: step for name, step in _STEPS.items() if name in columns},
        without_history={name: limit for name, limit in _WITHOUT_HISTORY.items() if name in columns},
        covered={name: limit for name, limit in _COVERED.items() if name in columns},
    )


def _family(name: str) -> str:
    """Return the family of a tile; empty for a single reading."""
    family, dot, tile = name.rpartition(".")
    return family if dot and tile.isdigit() else ""

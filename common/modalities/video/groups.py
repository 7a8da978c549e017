"""The feature groups of video: the backbone's embedding, the readings of the camera-quality sensors, the view, and the
vitals of the recording."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from common.contracts.feature_groups import (
    REPEATED,
    VIEW_COLUMNS,
    Ambient,
    FeatureGroup,
    GroupKind,
    SequenceColumn,
    SequenceSummary,
    SteadyColumn,
    TileSummary,
)
from common.modalities.video.sensors import MINIMUM_EFFECTS, SENSOR_NAMES
from common.modalities.video.sensors.light import LUMA, STRIP
from common.modalities.video.sensors.size import SIZE
from common.modalities.video.vitals_columns import VITALS_COLUMNS, VITALS_MINIMUM_EFFECTS

EMBEDDING = "embedding"
QUALITY = "quality"
VIEW = "view"
VITALS = "vitals"
# The distance between two samples of the same footage, W1 / spread averaged over the dimensions, is seldom smaller
# (MEASURED: 0.28 at 20 independent frames, 0.1 at 200). A smaller bound would only reflect that the footage was still.
EMBEDDING_MINIMUM_EFFECT = 0.15
# Of light, in natural logs. Exposure that follows the scene takes a second or more, so its steps are ten times smaller
# than those of a lamp that flickers.
SEQUENCES: Mapping[str, SequenceColumn] = {
    "flicker": SequenceColumn(family=LUMA, summary=SequenceSummary.STEP, minimum_effect=0.015),
    "banding": SequenceColumn(family=STRIP, summary=SequenceSummary.UNEVEN_STEP, minimum_effect=0.015),
    "light_swing": SequenceColumn(family=LUMA, summary=SequenceSummary.SWING, minimum_effect=0.012),
}
VIEW_HEADER = 2
"""Columns of a view before its pixels: width and height of the small picture."""
VIEW_PIXELS = 5184
"""Most pixels of the small picture: 96 x 54, 83 x 62."""
# Shift in shares of the width, rotation in degrees, zoom as a natural log; views of one fixed camera lie within 0.004,
# 0.4 and 0.006. Then shares of the frames that are mirrored, and of those in which the golden view is not found; and
# the share of what stands still that something on the lens, or before it, hides.
VIEW_MINIMUM_EFFECTS = (0.009, 0.7, 0.02, 0.5, 0.5, 0.1)

# What light hardly moves, measured on cameras known for half a minute before clouds came: at these effects no clean
# window failed, at those of known hours nine in ten did. Black over white leaves gain and exposure alone and shows fog;
# dusk moves it by up to 0.9 from noon. What shows in how frames follow each other, or in blocks, and the view are held
# against twice their minimum effects or more.
_STEADY = (
    SteadyColumn(column="noise", minimum_effect=0.4, at_similar_light=True),
    SteadyColumn(column="edge_peak", minimum_effect=0.16),
    SteadyColumn(column="edge_typical", minimum_effect=0.2),
    SteadyColumn(column="direction_across", minimum_effect=0.4),
    SteadyColumn(column="direction_diagonal", minimum_effect=0.4),
    SteadyColumn(column="blockiness", minimum_effect=0.25),
    SteadyColumn(column="black_level", minimum_effect=0.9, over="white_level"),
    SteadyColumn(column="flat_area", minimum_effect=0.2),
    SteadyColumn(column="pixelation", minimum_effect=0.04),
    SteadyColumn(column="flicker", minimum_effect=0.03),
    SteadyColumn(column="banding", minimum_effect=0.03),
    SteadyColumn(column="shift", minimum_effect=0.02),
    SteadyColumn(column="rotation", minimum_effect=2.0),
    SteadyColumn(column="mirrored", minimum_effect=0.5),
    SteadyColumn(column="missing_frames", minimum_effect=0.06),
    SteadyColumn(column="decode_errors", minimum_effect=0.04),
)
# Clouds take more than the two frames of a step. In 14 minutes of clean footage no step was larger than 0.17 in luma,
# 0.024 in the balances and 0.03 in saturation.
_STEPS = {LUMA: 0.2, "red_balance": 0.036, "blue_balance": 0.036, "saturation": 0.06}
# A picture without anything in it, one that stands still (half of all frames repeat where a camera's are doubled), and
# one in which a decoder shows what no camera sent: of clean windows, none had it in more than 0.03 of its frames.
_WITHOUT_HISTORY = {"blackout": 0.05, REPEATED: 0.9, "packet_loss": 0.1}
# In clean footage of 13 cameras and a week of a webcam's nights at most 0.53 of the picture is flat, and 0.41 dark and
# calm; of fully covered ones it is 0.90 or more in 19 of 20.
_COVERED = {"flat_area": 0.8, "dark_area": 0.8}
# At half, two thirds and one and a half times the size, edges reach 3.7 times the distance at which a window FAILs,
# noise 1.9, flat areas 1.1, blockiness 0.9, and in drawn scenes pixelation 1.1. All others stay as they are.
SCALED = (
    "noise",
    "edge_peak",
    "edge_typical",
    "direction_across",
    "direction_diagonal",
    "blockiness",
    "pixelation",
    "flat_area",
)
_INFRARED_BELOW = 0.02  # saturation; pictures by infra-red light are grey
AMBIENT = Ambient(
    light=LUMA,
    infrared="saturation",
    infrared_below=_INFRARED_BELOW,
    steady=_STEADY,
    steps=_STEPS,
    without_history=_WITHOUT_HISTORY,
    covered=_COVERED,
)


def feature_groups(embedding_size: int) -> tuple[FeatureGroup, ...]:
    """Return the groups of video.

    Parameters
    ----------
    embedding_size : number of features of the backbone
    """
    return (
        embedding_group(embedding_size),
        quality_group(SENSOR_NAMES, MINIMUM_EFFECTS, SEQUENCES, ambient=AMBIENT, scaled=SCALED, native_size=SIZE),
        FeatureGroup(
            name=VIEW,
            kind=GroupKind.VIEW,
            size=VIEW_HEADER + VIEW_PIXELS,
            minimum_effects=VIEW_MINIMUM_EFFECTS,
            shaped=VIEW_COLUMNS,
        ),
        FeatureGroup(
            name=VITALS,
            kind=GroupKind.COLUMNS,
            size=len(VITALS_COLUMNS),
            columns=VITALS_COLUMNS,
            minimum_effects=VITALS_MINIMUM_EFFECTS,
            scaled=("bit_rate",),
            delivery=True,
        ),
    )


def embedding_group(size: int) -> FeatureGroup:
    """Return the group of a backbone's `size` features."""
    return FeatureGroup(name=EMBEDDING, kind=GroupKind.JOINT, size=size, minimum_effects=(EMBEDDING_MINIMUM_EFFECT,))


def quality_group(
    sensor_names: tuple[str, ...],
    minimum_effects: tuple[float, ...],
    sequences: Mapping[str, SequenceColumn] = MappingProxyType({}),
    steps_of: str = QUALITY,
    ambient: Ambient | None = None,
    scaled: tuple[str, ...] = (),
    native_size: str | None = None,
) -> FeatureGroup:
    """Return the group of the sensors' readings.

    Readings that are called `family.NN` are the tiles of a family, which are compared by what they have in common. An
    object that passes through a few tiles does not change the column; a fault of the camera changes all tiles.

    Parameters
    ----------
    sensor_names, minimum_effects : (q,) of the readings
    sequences : columns made from the sequence of samples; baselines of before 0.4 have none
    steps_of : the group that tells moving pictures from frozen ones; before 0.4 it was the embedding, which today sees
        only some of the frames
    ambient : what light does to the columns; None: of baselines of before 0.4, which were not learned over days
    scaled, native_size : see `FeatureGroup`
    """
    families = dict.fromkeys(family for name in sensor_names if (family := _family(name)))
    return FeatureGroup(
        name=QUALITY,
        kind=GroupKind.COLUMNS,
        size=len(sensor_names),
        columns=sensor_names,
        minimum_effects=minimum_effects,
        tiles={family: TileSummary.NONE if family in {STRIP, SIZE} else TileSummary.SHARED for family in families},
        sequences=dict(sequences),
        steps_of=steps_of,
        ambient=ambient,
        scaled=scaled,
        native_size=native_size,
    )


def _family(name: str) -> str:
    """Return the family of a tile; empty for a single reading."""
    family, dot, tile = name.rpartition(".")
    return family if dot and tile.isdigit() else ""

"""Camera faults as pure functions on frames.

Severity ranges from 1 (hardly visible) to 5 (gross). Sizes are in pixels of the
frame, light levels in grey levels of 8 bits.

To add a fault, add a member to `Fault`, its row to `SEVERITIES`, and its function
to `_FUNCTIONS`. The function is given the image, the amount of the severity, the
seed, and the index of the frame; it returns a new image and modifies nothing.
Functions for faults of signal, shutter and filter are in `simulation.signal_faults`,
those of what lies before the lens in `simulation.lens_faults`.
If verdicts should name the fault as a cause of its own, it also needs a `Cause`
with the same value, and a rule in `common.modalities.video.diagnosis`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum

import cv2
import numpy as np
import numpy.typing as npt

from common.contracts.verdicts import Cause
from common.features import Image
from simulation import lens_faults, signal_faults
from simulation.pixels import to_image


class Fault(StrEnum):
    """A camera fault."""

    NOISE = "noise"
    """Sensor noise: Gaussian, independent in every pixel and channel."""
    BLUR = "blur"
    """Out of focus."""
    LOW_LIGHT = "low_light"
    """Too little light: all values are scaled down."""
    OVER_EXPOSURE = "over_exposure"
    """Too much light: all values are scaled up and clipped at white."""
    COMPRESSION = "compression"
    """Too low a bit rate: JPEG of low quality."""
    COLOUR_CAST = "colour_cast"
    """A wrong white balance: one channel is scaled up and another down; the seed selects which."""
    LOW_CONTRAST = "low_contrast"
    """A film on the lens, or mist on its cover: the frame is mixed with light grey."""
    MOTION_BLUR = "motion_blur"
    """A shaking mount or a long exposure: blur along a line, whose angle depends on the seed."""
    FROZEN = "frozen"
    """The same picture is repeated for a number of frames."""
    BLACK = "black"
    """Loss of signal: some frames of every twenty are black."""
    COVERED = "covered"
    """Something dark covers the lens from one side; the seed selects which."""
    CAMERA_MOVED = "camera_moved"
    """The camera was turned; the seed selects the direction. What comes into view is filled with a mirror image."""
    PACKET_LOSS = "packet_loss"
    """Packets are lost: runs of grey or green blocks and smears, until the next key frame."""
    PIXELATION = "pixelation"
    """A smaller picture, enlarged without smoothing."""
    FLICKER = "flicker"
    """Frames are brighter and darker in turn, under lamps that pulse faster than the camera's frames."""
    BANDING = "banding"
    """Bands of rows, brighter and darker, roll through the picture: a rolling shutter under such lamps."""
    HUNTING_EXPOSURE = "hunting_exposure"
    """The exposure control swings back and forth."""
    INFRA_RED = "infra_red"
    """The infra-red filter is stuck open: colours are washed out and tinted pink."""
    ROTATED = "rotated"
    """The camera was rotated about its axis; the seed selects the direction."""
    MIRRORED = "mirrored"
    """The camera shows a mirror image, or one that is upside down, in a growing share of every twenty frames."""

    FOG = "fog"
    """Fog: the farther away, the more the frame is mixed with light grey."""
    SOILED = "soiled"
    """Drops of water and specks of dirt on the lens; the seed selects where."""

    @property
    def cause(self) -> Cause | None:
        """The cause that a verdict on footage with this fault should name; None: no particular one."""
        if self in _NAMED_AS:
            return _NAMED_AS[self]
        return Cause(self.value) if self.value in {cause.value for cause in Cause} else None


# Faults that look like another one, of which the judge has the name.
_NAMED_AS = {
    Fault.INFRA_RED: Cause.COLOUR_CAST,
    Fault.ROTATED: Cause.CAMERA_MOVED,
    Fault.MIRRORED: Cause.CAMERA_MOVED,
}

# One row per fault, one column per severity from 1 to 5.
SEVERITIES: dict[Fault, tuple[float, float, float, float, float]] = {
    Fault.NOISE: (4, 8, 15, 25, 40),  # standard deviation, grey levels
    Fault.BLUR: (0.7, 1.2, 2.0, 4.0, 6.0),  # Gaussian sigma, pixels
    Fault.LOW_LIGHT: (0.8, 0.6, 0.4, 0.2, 0.1),  # gain
    Fault.OVER_EXPOSURE: (1.2, 1.5, 2.0, 3.0, 4.5),  # gain
    Fault.COMPRESSION: (50, 30, 15, 7, 3),  # JPEG quality
    Fault.COLOUR_CAST: (0.05, 0.1, 0.2, 0.35, 0.5),  # one channel's gain is 1 + this, another's 1 - this
    Fault.LOW_CONTRAST: (0.15, 0.3, 0.5, 0.7, 0.85),  # share of grey
    Fault.MOTION_BLUR: (3, 5, 9, 15, 25),  # length of the smear, pixels
    Fault.FROZEN: (3, 8, 24, 72, math.inf),  # frames for which each picture is shown
    Fault.BLACK: (0.1, 0.25, 0.5, 0.75, 1.0),  # share of frames
    Fault.COVERED: (0.15, 0.3, 0.5, 0.75, 0.95),  # share of the frame
    Fault.CAMERA_MOVED: (0.02, 0.05, 0.1, 0.2, 0.4),  # shift, as a share of the frame's longer side
    Fault.PACKET_LOSS: (0.0025, 0.01, 0.03, 0.12, 0.4),  # share of all macroblocks
    Fault.PIXELATION: (1.05, 1.5, 3, 6, 12),  # side of a block, pixels
    Fault.FLICKER: (0.035, 0.07, 0.15, 0.3, 0.5),  # gains are 1 minus to 1 plus this
    Fault.BANDING: (0.035, 0.07, 0.15, 0.3, 0.5),  # the same
    Fault.HUNTING_EXPOSURE: (0.035, 0.07, 0.15, 0.3, 0.5),  # the same
    Fault.INFRA_RED: (0.12, 0.25, 0.45, 0.7, 1.0),  # share of infra-red light
    Fault.ROTATED: (1, 2, 5, 15, 45),  # degrees
    Fault.MIRRORED: (0.1, 0.25, 0.5, 0.75, 1.0),  # share of frames
    Fault.FOG: (0.25, 0.45, 0.65, 0.85, 0.97),  # share of fog at the upper edge
    Fault.SOILED: (0.01, 0.03, 0.08, 0.25, 0.5),  # share of the frame
}
"""The strength of each fault by severity, in the unit stated beside each row."""

_Levels = npt.NDArray[np.float64]
_LEVELS: _Levels = np.arange(256, dtype=np.float64)
_VEIL_LEVEL = 200.0  # grey levels
_COVER_LEVEL = 18.0  # grey levels; an object in front of a lens is not entirely black
_BLACK_CYCLE = 20  # frames
_SEED_PREFIX = 0x5E  # separates these random numbers from those of others who use the same seed


def sabotage_frames(images: Iterable[Image], fault: Fault, severity: int, seed: int = 0) -> Iterator[Image]:
    """Yield a copy of each image with a fault.

    Parameters
    ----------
    images : consecutive frames, each (height, width, 3) uint8, RGB; not modified
    severity : 1 to 5
    seed : equal seeds give equal frames

    Raises
    ------
    ValueError
        If the severity is not 1 to 5.
    """
    amount = amount_of(fault, severity)
    shown: Image | None = None
    for index, image in enumerate(images):
        if fault is not Fault.FROZEN:
            yield sabotage_frame(image, fault, severity, seed, index)
            continue
        stuck = (
            shown is not None and shown.shape == image.shape and not (amount < math.inf and index % int(amount) == 0)
        )
        shown = shown if stuck and shown is not None else image
        yield shown


def sabotage_frame(image: Image, fault: Fault, severity: int, seed: int = 0, index: int = 0) -> Image:
    """Return a copy of one image with a fault; a frozen frame equals the original.

    Parameters
    ----------
    image : (height, width, 3) uint8, RGB; not modified
    severity : 1 to 5
    index : index of the frame in its source

    Raises
    ------
    ValueError
        If the severity is not 1 to 5.
    """
    amount = amount_of(fault, severity)
    return image if fault is Fault.FROZEN else _FUNCTIONS[fault](image, amount, seed, index)


def amount_of(fault: Fault, severity: int) -> float:
    """Return the strength of `fault` at a severity, in the unit stated in `SEVERITIES`; see `at_severity`."""
    return at_severity(SEVERITIES[fault], severity)


def at_severity(strengths: Sequence[float], severity: int) -> float:
    """Return which of the strengths of a fault, mild ones first, belongs to a severity, from 1 on.

    Raises
    ------
    ValueError
        If there is no such severity.
    """
    if not 1 <= severity <= len(strengths):
        raise ValueError(f"severity is 1 (mild) to {len(strengths)} (gross), not {severity}")
    return strengths[severity - 1]


def _random(*seeds: int) -> np.random.Generator:
    """Return random numbers; what stays the same over a clip (an angle, a side) is drawn from the seed alone."""
    return np.random.default_rng((_SEED_PREFIX, *seeds))


def _noise(image: Image, sigma: float, seed: int, index: int) -> Image:
    noisy = _random(seed, index).standard_normal(image.shape, np.float32)
    noisy *= sigma
    noisy += image
    return to_image(noisy)


def _blur(image: Image, sigma: float, _seed: int, _index: int) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _gain(image: Image, gain: float, _seed: int, _index: int) -> Image:
    return _through_table(image, [_LEVELS * gain] * 3)


def _black(image: Image, share: float, seed: int, index: int) -> Image:
    # The seed shifts the black frames in time, so that a clip does not always start with them.
    black = (index + seed) % _BLACK_CYCLE < share * _BLACK_CYCLE
    return np.zeros_like(image) if black else image


def _compress(image: Image, quality: float, _seed: int, _index: int) -> Image:
    # JPEG stores luma and chroma, so the order of the channels matters.
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise ValueError(f"a frame of {image.shape[1]} x {image.shape[0]} pixels cannot be a JPEG")
    compressed = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(cv2.cvtColor(compressed, cv2.COLOR_BGR2RGB), np.uint8)


def _colour_cast(image: Image, strength: float, seed: int, _index: int) -> Image:
    gains = np.ones(3)
    up, down = _random(seed).permutation(3)[:2]
    gains[up], gains[down] = 1 + strength, 1 - strength
    return _through_table(image, [_LEVELS * float(gain) for gain in gains])


def _veil(image: Image, share: float, _seed: int, _index: int) -> Image:
    return _through_table(image, [_LEVELS * (1 - share) + _VEIL_LEVEL * share] * 3)


def _motion_blur(image: Image, length: float, seed: int, _index: int) -> Image:
    side = int(length)
    angle = _random(seed).uniform(0, math.pi)
    reach = np.array([math.cos(angle), math.sin(angle)]) * (side - 1) / 2
    kernel = np.zeros((side, side), np.float32)
    steps = 8 * side  # so many that a line of any angle has no gaps
    for along in np.linspace(-1, 1, steps):
        x, y = np.rint((side - 1) / 2 + along * reach).astype(int)
        kernel[y, x] += 1 / steps
    return np.asarray(cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def _cover(image: Image, share: float, seed: int, _index: int) -> Image:
    covered = image.copy()
    # Array views of the same pixels, flipped or transposed so that the side to cover comes first.
    sides = (covered, covered[::-1], covered.swapaxes(0, 1), covered.swapaxes(0, 1)[::-1])
    from_side = sides[int(_random(seed).integers(4))]
    from_side[: round(len(from_side) * share)] = _COVER_LEVEL
    return covered


def _move(image: Image, share: float, seed: int, _index: int) -> Image:
    height, width = image.shape[:2]
    angle = _random(seed).uniform(0, 2 * math.pi)
    # By at most half the frame, so that the mirror image does not fill more than half of it.
    limit = np.array([width, height]) / 2
    shift = np.clip(share * max(height, width) * np.array([math.cos(angle), math.sin(angle)]), -limit, limit)
    # By whole pixels, because a fractional shift would also blur.
    right, down = np.rint(shift)
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return np.asarray(
        cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )


def _through_table(image: Image, tables: list[_Levels]) -> Image:
    table = np.stack([to_image(row) for row in tables], axis=-1)[None]
    return np.asarray(cv2.LUT(image, table), np.uint8)


# All but FROZEN, which needs the frames before: `sabotage_frames` repeats them.
_FUNCTIONS: dict[Fault, Callable[[Image, float, int, int], Image]] = {
    Fault.NOISE: _noise,
    Fault.BLUR: _blur,
    Fault.LOW_LIGHT: _gain,
    Fault.OVER_EXPOSURE: _gain,
    Fault.COMPRESSION: _compress,
    Fault.COLOUR_CAST: _colour_cast,
    Fault.LOW_CONTRAST: _veil,
    Fault.MOTION_BLUR: _motion_blur,
    Fault.BLACK: _black,
    Fault.COVERED: _cover,
    Fault.CAMERA_MOVED: _move,
    Fault.PACKET_LOSS: signal_faults.lose_packets,
    Fault.PIXELATION: signal_faults.pixelate,
    Fault.FLICKER: signal_faults.flicker,
    Fault.BANDING: signal_faults.roll_bands,
    Fault.HUNTING_EXPOSURE: signal_faults.hunt_exposure,
    Fault.INFRA_RED: signal_faults.infra_red,
    Fault.ROTATED: signal_faults.rotate,
    Fault.MIRRORED: signal_faults.mirror,
    Fault.FOG: lens_faults.fog,
    Fault.SOILED: lens_faults.soil,
}

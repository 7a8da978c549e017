"""Puts a corruption of ImageNet-C on frames. Run by benchmarks/corruptions.py in the peers' environment.

    python corrupt_frames.py NAME SEVERITY IN.npy OUT.npy

The package `imagecorruptions` needs NumPy 1, so this module imports nothing of Sentinel. It reads frames
(n, h, w, 3) uint8, RGB, from IN.npy, and writes as many to OUT.npy. Without arguments it prints the names of all
corruptions. It runs on one core at the lowest priority.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import skimage.filters

warnings.filterwarnings("ignore")
_SEED = 7
_ONE_PATTERN = "glass_blur"
"""Shuffles pixels in a loop that takes seconds, whatever the number of channels: the frames of a window are given to it
as channels of one picture, so that all are seen through the same glass."""
_MOST_VALUES = 60_000_000  # that are given to it at a time: it needs some thirty bytes for each
_gaussian: Callable[..., np.ndarray] = skimage.filters.gaussian


def _gaussian_of_today(image: np.ndarray, *args: object, multichannel: bool = False, **options: object) -> np.ndarray:
    """scikit-image calls `multichannel` `channel_axis` since 0.21; the package was written before."""
    return _gaussian(image, *args, channel_axis=-1 if multichannel else None, **options)


def main(name: str, severity: int, frames: Path, target: Path) -> None:
    from imagecorruptions import corrupt, corruptions

    images = np.load(frames, mmap_mode="r")
    if name == _ONE_PATTERN:
        size = max(1, _MOST_VALUES // int(np.prod(images.shape[1:])))
        seen = [
            _through_glass(images[start : start + size], severity, corruptions.glass_blur)
            for start in range(0, len(images), size)
        ]
        np.save(target, np.concatenate(seen))
        return
    np.random.seed(_SEED)
    corrupted = [corrupt(np.array(image), severity=severity, corruption_name=name) for image in images]
    np.save(target, np.asarray(corrupted, np.uint8))


def _through_glass(images: np.ndarray, severity: int, blur: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    count, height, width, channels = images.shape
    np.random.seed(_SEED)  # the package draws from this generator: the same glass for all
    stacked = np.moveaxis(images, 0, 2).reshape(height, width, count * channels)
    seen = blur(stacked, severity).astype(np.uint8).reshape(height, width, count, channels)
    return np.moveaxis(seen, 2, 0)


if __name__ == "__main__":
    os.nice(19)
    cv2.setNumThreads(1)
    skimage.filters.gaussian = _gaussian_of_today
    if len(sys.argv) == 1:
        from imagecorruptions import get_corruption_names

        print("\n".join(get_corruption_names("all")))
    else:
        main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))

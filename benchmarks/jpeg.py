"""JPEG decoded at half size by the decoder itself: the time it saves, and how it changes the features.

Embeddings and sensor readings of the same frames decoded at full and at half
size are compared. If the readings changed by less than their minimum effects,
stills could be decoded at half size.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.workbench import cpu_backbone
from common.contracts.batches import SourceKind
from common.features import FloatArray
from common.modalities.video.decode import sampled_frames
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.sensors import MINIMUM_EFFECTS, measure
from common.sources.limits import Limits

_FRAMES, _QUALITY = 24, 90
_DECODERS = {"at full size": cv2.IMREAD_COLOR, "at half size": cv2.IMREAD_REDUCED_COLOR_2}


def measure_jpeg(clip: Path, weights: str, runs: int) -> None:
    """Print the table for the first frames of `clip`."""
    backbone = cpu_backbone(weights)
    kept = sampled_frames(clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=_FRAMES, limits=Limits())
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    files = [cv2.imencode(".jpg", frame.image[..., ::-1], quality)[1] for frame in kept]
    found: dict[str, tuple[float, FloatArray, FloatArray]] = {}
    for name, flag in _DECODERS.items():
        times = []
        for _ in range(runs + 1):
            began = time.perf_counter()
            images = [np.asarray(cv2.imdecode(file, flag), np.uint8)[..., ::-1] for file in files]
            times.append((time.perf_counter() - began) / len(files))
        pictures = [StillPicture(np.ascontiguousarray(image)) for image in images]
        embedding = backbone.embed(np.stack([picture.small(backbone.input_size) for picture in pictures]))
        readings = np.stack([measure(picture.planes()) for picture in pictures])
        found[name] = statistics.median(times[1:]), embedding, readings
    full, half = found.values()
    norms = np.linalg.norm(full[1], axis=1) * np.linalg.norm(half[1], axis=1)
    cosine = (full[1] * half[1]).sum(axis=1) / norms
    changed = (np.abs(full[2] - half[2]) > np.array(MINIMUM_EFFECTS, np.float32)).mean()
    height, width = images[0].shape[0] * 2, images[0].shape[1] * 2
    took = ", ".join(f"{name} {row[0] * 1e3:.1f} ms" for name, row in found.items())
    print(f"\nJPEG of {width} x {height} decoded {took};")
    print(
        f"at half size the embedding's cosine is {np.median(cosine):.4f} (min {cosine.min():.4f}), and {changed:.0%} "
        "of the sensors' readings change by more than their minimum effect"
    )

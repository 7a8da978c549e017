"""What `benchmarks.gpu` measures on one device, in this process, with the settings of its environment.

    python -m benchmarks.gpu_device CLIP SIZES RUNS

Prints JSON as its last line: medians by name.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from common.contracts.batches import FrameBatch, SourceKind
from common.contracts.ids import content_id
from common.extraction import Extractor, load_extractor
from common.ingest.description import chunk_file
from common.modalities.video.decode import sampled_frames
from common.modalities.video.modality import VIDEO
from common.models.vfi.first import starting_model
from common.settings import get_settings
from common.sources.identity import describe_source
from simulation.virtual_camera import SCENES, film, load_photograph
from workers import context
from workers.embedding import extract

_CHUNK_FRAMES = 128  # what TensorFlow embeds at a time; the chunks of a CPU's half a second are a third of it
_TENSORS = 256  # frames


def main(clip: Path, sizes: list[tuple[int, int]], runs: int) -> dict[str, float]:
    settings = get_settings()
    extractor = context.extractor(load_extractor(settings, VIDEO, None).feature_spec(None))
    found = {"embed task, every frame embedded, frames/s": 1.0 / _seconds(_task(clip, extractor, 1), runs)}
    if settings.embed_every > 1:
        name = f"embed task, one frame in {settings.embed_every} embedded, frames/s"
        found[name] = 1.0 / _seconds(_task(clip, extractor, settings.embed_every), runs)
    found["MobileNetV2 on ready tensors, frames/s"] = 1.0 / _seconds(_on_tensors(clip, extractor), runs)
    for width, height in sizes:
        found |= _interpolation(width, height, runs)
    return found


def _seconds(step: Callable[[], int], runs: int) -> float:
    """Return the median seconds per frame of a step, which returns how many it had."""
    times = []
    for run in range(runs + 1):
        began = time.perf_counter()
        count = step()
        if run:  # the first run warms up
            times.append((time.perf_counter() - began) / count)
    return statistics.median(times)


def _task(clip: Path, extractor: Extractor, every: int) -> Callable[[], int]:
    """Return a step that does what the embed task does with each chunk of `clip`."""
    spec = extractor.feature_spec(None).model_copy(update={"embed_every": every})
    count, starts = chunk_file(clip, None, _CHUNK_FRAMES, extractor.limits)
    batch = FrameBatch(
        id=content_id(str(clip)),
        stream="bench",
        source=describe_source(clip, extractor.limits),
        expected_frames=count,
        starts=starts,
        feature_spec=spec,
        received_at=time.time(),
    )
    chunks = batch.chunks()
    return lambda: sum(len(extract(chunk)) for chunk in chunks)


def _on_tensors(clip: Path, extractor: Extractor) -> Callable[[], int]:
    """Return a step that embeds frames of `clip` which are decoded and scaled before."""
    backbone = extractor.backbone
    assert backbone is not None, "video has one"
    frames = sampled_frames(
        clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=_TENSORS, limits=extractor.limits
    )
    images = np.stack([frame.picture.small(backbone.input_size) for frame in frames])
    return lambda: len(backbone.embed(images))


def _interpolation(width: int, height: int, runs: int) -> dict[str, float]:
    """Return the milliseconds that model `vfi` takes for a frame, and those of its optical flow."""
    model = starting_model()
    photographs = [load_photograph(name) for name in SCENES[:1]]
    images = film(photographs, count=3, fps=20.0, seed=0, width=width, height=height)
    triplets = np.stack(list(images))[None]

    def flow() -> int:
        return len(model.design.engine.warp(triplets).motion)

    def whole() -> int:
        return len(model.predict(triplets))

    name = f"interpolation at {width}x{height}, ms per frame"
    return {name: 1e3 * _seconds(whole, runs), f"{name}: of it flow, on the processor": 1e3 * _seconds(flow, runs)}


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    for size in text.split(","):
        width, _, height = size.partition("x")
        yield int(width), int(height)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), list(_pairs(sys.argv[2])), int(sys.argv[3]))))

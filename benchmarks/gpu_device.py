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
    """Return the median of each figure. Every run takes all in turn, because the speed of a shared machine varies."""
    settings = get_settings()
    extractor = context.extractor(load_extractor(settings, VIDEO, None).feature_spec(None))
    rates = {"embed task, every frame embedded, frames/s": _task(clip, extractor, 1)}
    if settings.embed_every > 1:
        name = f"embed task, one frame in {settings.embed_every} embedded, frames/s"
        rates[name] = _task(clip, extractor, settings.embed_every)
    rates["MobileNetV2 on ready tensors, frames/s"] = _on_tensors(clip, extractor)
    times = {name: step for width, height in sizes for name, step in _interpolation(width, height).items()}
    seconds: dict[str, list[float]] = {name: [] for name in (*rates, *times)}
    for run in range(runs + 1):
        for name, step in (rates | times).items():
            began = time.perf_counter()
            count = step()
            if run:  # the first run warms up
                seconds[name].append((time.perf_counter() - began) / count)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return {name: 1.0 / medians[name] for name in rates} | {name: 1e3 * medians[name] for name in times}


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


def _interpolation(width: int, height: int) -> dict[str, Callable[[], int]]:
    """Return steps that predict a frame by model `vfi`, and that only find the optical flow for it, by name."""
    model = starting_model()
    images = film([load_photograph(SCENES[0])], count=3, fps=20.0, seed=0, width=width, height=height)
    triplets = np.stack(list(images))[None]
    name = f"interpolation at {width}x{height}, ms per frame"
    return {
        name: lambda: len(model.predict(triplets)),
        f"{name}: of it flow, on the processor": lambda: len(model.design.engine.warp(triplets).motion),
    }


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    for size in text.split(","):
        width, _, height = size.partition("x")
        yield int(width), int(height)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), list(_pairs(sys.argv[2])), int(sys.argv[3]))))

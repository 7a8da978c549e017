"""A GPU beside the CPU: the embed task against its own model alone, and milliseconds per interpolated frame.

    python -m benchmarks.gpu [--runs 5] [--weights random:0] [--height 1080] [--frames 384] [--sizes 768x432,1920x1080]

- embed task: `workers.embedding.extract`, the function that task `sentinel.embed` calls for each chunk: it opens the
  accepted source, decodes it, reads the sensors, and embeds, here every frame of H.264 footage of the virtual camera.
  Celery's message and the storing of the features are not in it (`make bench` has them: about 1% to 3%). A real Redis
  is there, because the function asks whether the stream has a champion to score
- one frame in N: the same as a baseline has it that is built with the settings as they are (SENTINEL_EMBED_EVERY)
- ready tensors: `embed` of the same loaded backbone on frames that are decoded and scaled already
- interpolation: `predict` of model `vfi` on two frames; its optical flow (DIS) always runs on the processor, and is
  shown by itself

Every device has a process of its own, as a worker is one: on the CPU OpenVINO runs the backbone with SENTINEL_THREADS
(one, unless set), on a GPU TensorFlow does (SENTINEL_DEVICE=gpu). TensorFlow runs the model of interpolation on either,
on the CPU with all cores. Rows are medians over the runs; the first, which warms up, is left out.

Weights are random unless --weights says otherwise: what is computed is the same. Where there is no GPU that TensorFlow
could use, the CPU's figures are printed, and why there are no others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.clips import SIZES, as_camera, largest_clip
from benchmarks.machine import machine
from benchmarks.results import save
from benchmarks.workbench import say
from common.backbones.loading import gpu_present, gpu_usable
from common.settings import Settings
from sentinel.stack.redis_server import RedisServer

Figures = dict[str, float]
_REDIS_MB = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--weights", default="random:0")
    parser.add_argument("--height", type=int, choices=sorted(SIZES), default=1080, help="lines of the footage")
    parser.add_argument("--frames", type=int, default=384, help="of the footage, in chunks of 128")
    parser.add_argument("--sizes", default="768x432,1920x1080", help="of interpolated frames, width x height")
    chosen = parser.parse_args()
    print(machine(), flush=True)
    why_none = why_no_gpu()
    print(f"weights: {chosen.weights}; GPU: {why_none or name_of_gpu()}\n", flush=True)
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="sentinel-gpu-") as name:
        folder = Path(name).resolve()
        clip = as_camera(largest_clip(None, folder), folder / "clip.mp4", chosen.height, frames=chosen.frames)
        redis = RedisServer(folder / "redis", max_mb=_REDIS_MB)
        redis.start()
        try:
            for device in ("cpu",) if why_none else ("cpu", "gpu"):
                found[device] = measure(device, clip, redis.url, chosen.weights, chosen.sizes, chosen.runs)
                say(device)
        finally:
            redis.stop()
    report(found, chosen.height, chosen.runs)
    if why_none:
        print(f"\nNo GPU was measured: {why_none}. The figures are the CPU's alone.")
    save("gpu", {"runs": chosen.runs, "weights": chosen.weights, "no_gpu": why_none, "devices": found})


def why_no_gpu() -> str:
    """Return why no GPU can be measured here; empty: one can."""
    if not gpu_present():
        return "this machine shows no NVIDIA GPU"
    if not gpu_usable():
        return "there is one, but not the CUDA libraries that TensorFlow needs: pip install 'tensorflow[and-cuda]'"
    return ""


def name_of_gpu() -> str:
    """Return what the driver calls the GPUs."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "one, which nvidia-smi does not name"
    return ", ".join(done.stdout.split("\n")).strip(", ")


def measure(device: str, clip: Path, redis_url: str, weights: str, sizes: str, runs: int) -> Figures:
    """Return the medians of one device, measured in a process of its own (`benchmarks.gpu_device`).

    Raises
    ------
    SystemExit
        If that process fails; it has said why.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if name != "SENTINEL_BASELINE"},
        "SENTINEL_DEVICE": device,
        "SENTINEL_WEIGHTS": weights,
        "SENTINEL_BACKBONE": "mobilenet_v2",
        "SENTINEL_REDIS_URL": redis_url,
        "SENTINEL_STATE_DIR": str(Settings(_env_file=None).state_dir.resolve()),  # converted backbones are found there
        "SENTINEL_ALLOWED_ROOTS": str(clip.parent),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    command = [sys.executable, "-m", "benchmarks.gpu_device", str(clip), sizes, str(runs)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the measurement on {device} failed with {done.returncode}, see above")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def report(found: dict[str, Figures], height: int, runs: int) -> None:
    """Print a row per figure, and a column per device."""
    print(f"medians of {runs} runs, one process per device, footage of {height} lines\n")
    print("| | " + " | ".join(device.upper() for device in found) + (" | GPU / CPU |" if len(found) > 1 else " |"))
    print("|---" * (len(found) + (2 if len(found) > 1 else 1)) + "|")
    for name in next(iter(found.values())):
        rate = name.endswith("frames/s")
        shown = [f"{figures[name]:.0f}" if rate else f"{figures[name]:.1f}" for figures in found.values()]
        ratio = [f"{found['gpu'][name] / found['cpu'][name]:.2f}"] if len(found) > 1 else []
        print("| " + " | ".join([name, *shown, *ratio]) + " |")
    task, alone = "embed task, every frame embedded, frames/s", "MobileNetV2 on ready tensors, frames/s"
    shares = ", ".join(f"{device.upper()} {rates[task] / rates[alone]:.0%}" for device, rates in found.items())
    print(f"\nthe embed task reaches, of the rate of its model on ready tensors: {shares}")


if __name__ == "__main__":
    main()

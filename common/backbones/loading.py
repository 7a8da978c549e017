"""From settings to a loaded backbone."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
from pathlib import Path
from typing import cast, get_args

from common.backbones.backbone import Backbone, Precision
from common.backbones.cache import converted_model
from common.backbones.models import find_model
from common.backbones.openvino_engine import OpenVinoBackbone, require_precision
from common.errors import BackboneError
from common.settings import Settings


def load_backbone(settings: Settings, precision: str | None = None) -> Backbone:
    """Load the backbone that the settings name. Call it after a fork, once a process.

    On a CPU the first call on a machine converts the model (ten seconds or more,
    in a process of its own); later ones load it in half a second and never
    import TensorFlow.

    Parameters
    ----------
    precision : what a baseline's feature spec asks for; None: as set, which is f32 unless somebody chose

    Raises
    ------
    BackboneError
        If the backbone is unknown, its weights cannot be had, the GPU asked for is not there, or this machine does
        not compute in that precision.
    """
    chosen = _checked(precision or settings.precision)
    model = find_model(settings)
    if settings.device == "gpu" and not gpu_present():
        raise BackboneError("SENTINEL_DEVICE=gpu, but this machine shows no NVIDIA GPU: set it to cpu or auto")
    if settings.device == "gpu" or (settings.device == "auto" and gpu_usable()):
        from common.backbones.tensorflow_engine import TensorFlowBackbone, claim_gpu

        claim_gpu()
        return TensorFlowBackbone(model, chosen)
    require_precision(chosen)
    found = converted_model(model, chosen, settings.state_dir)
    return OpenVinoBackbone(found.model, found.card, threads=settings.threads, precision=chosen)


def _checked(precision: str) -> Precision:
    for known in get_args(Precision):
        if known == precision:
            return cast(Precision, known)
    raise BackboneError(f"there is no precision {precision!r}: say {', '.join(get_args(Precision))}")


def gpu_present() -> bool:
    """Return whether this machine shows an NVIDIA GPU to this process; imports nothing."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return False
    return Path("/dev/nvidia0").exists() or bool(shutil.which("nvidia-smi"))


def gpu_usable() -> bool:
    """Return whether there is a GPU and the CUDA libraries that TensorFlow runs it with.

    A desktop with a graphics card but plain TensorFlow is a CPU machine. Where
    both are there and TensorFlow still fails, that is an error, never a quiet
    change to the CPU.
    """
    return gpu_present() and (_has_package("nvidia.cudnn") or ctypes.util.find_library("cudnn") is not None)


def _has_package(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False

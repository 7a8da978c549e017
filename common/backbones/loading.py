"""From settings to a loaded backbone."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
from pathlib import Path

from common.backbones.backbone import Backbone
from common.backbones.cache import converted_model
from common.backbones.names import find_architecture
from common.backbones.openvino_engine import OpenVinoBackbone
from common.backbones.weights import parse_weights
from common.errors import BackboneError
from common.settings import Settings


def load_backbone(settings: Settings) -> Backbone:
    """Load the backbone that the settings name. Call it after a fork, once a process.

    On a CPU the first call on a machine converts the model (ten seconds or more,
    in a process of its own); later ones load it in half a second and never
    import TensorFlow.

    Raises
    ------
    BackboneError
        If the backbone is unknown, its weights cannot be had, or the GPU asked for is not there.
    """
    architecture = find_architecture(settings.backbone)
    weights = parse_weights(settings.weights)
    if settings.device == "gpu" and not gpu_present():
        raise BackboneError("SENTINEL_DEVICE=gpu, but this machine shows no NVIDIA GPU: set it to cpu or auto")
    if settings.device == "gpu" or (settings.device == "auto" and gpu_usable()):
        from common.backbones.tensorflow_engine import TensorFlowBackbone, claim_gpu

        claim_gpu()
        return TensorFlowBackbone(architecture, weights)
    found = converted_model(architecture, weights, settings.state_dir)
    return OpenVinoBackbone(found.model, found.card, threads=settings.threads)


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

"""From settings and a baseline's feature spec to a loaded backbone."""

from __future__ import annotations

import ctypes.util
import importlib.util
import logging
import os
import shutil
from pathlib import Path
from typing import cast, get_args

from common.backbones.backbone import Backbone, Precision
from common.backbones.cache import ConvertedModel, cache_folder, converted_model, find_converted
from common.backbones.models import Model, find_model, is_unchanged
from common.backbones.openvino_engine import OpenVinoBackbone, require_precision
from common.backbones.origins import find_origin, remember_origin
from common.backbones.wanted import imagenet_candidate, missing, named_model, require_wanted
from common.contracts.batches import FeatureSpec
from common.errors import BackboneError
from common.settings import Settings

log = logging.getLogger(__name__)


def load_backbone(settings: Settings, spec: FeatureSpec | None) -> Backbone:
    """Load the backbone that a baseline was made with. Call it after a fork, once per process and backbone.

    SENTINEL_BACKBONE and SENTINEL_WEIGHTS count where they are set. Where they are not, the cache is searched for
    the baseline's backbone and weights digest, then the place is tried that the weights were loaded from before,
    then ImageNet's weights. What is loaded has the baseline's digest, or it is an error.

    On a CPU the first call on a machine converts the model (ten seconds or more, in a process of its own); later
    ones load it in half a second and never import TensorFlow.

    Parameters
    ----------
    spec : the feature spec of the baseline; None where there is no baseline yet: the settings alone count

    Raises
    ------
    BaselineMismatch
        If what is set is not what the baseline was made with, or nothing is set and its weights are not found.
    BackboneError
        If the backbone is unknown, its weights are unavailable, there is no GPU although one was asked for, or this
        machine does not compute in that precision.
    """
    precision = _checked(settings.precision if spec is None else spec.precision)
    if spec is None:
        return _load(find_model(settings), precision, settings)
    named = named_model(settings, spec)
    if named is None:
        return _load_by_digest(settings, spec, precision)
    backbone = _load(named, precision, settings)
    which = "weights" if "weights" in settings.model_fields_set else "backbone"
    require_wanted(backbone, spec, f"SENTINEL_{which.upper()}={getattr(settings, which)}")
    return backbone


def _load_by_digest(settings: Settings, spec: FeatureSpec, precision: Precision) -> Backbone:
    root = cache_folder(settings.state_dir)
    origin = find_origin(root, spec.backbone, spec.weights)
    if not _on_gpu(settings):
        require_precision(precision)
        found = find_converted(root, spec.backbone, spec.weights, precision, origin)
        if found is not None:
            return _run(found, precision, settings)
    if origin is not None and is_unchanged(origin):
        backbone = _load(origin, precision, settings)
        require_wanted(backbone, spec, origin.path or origin.weights)
        return backbone
    imagenet = imagenet_candidate(settings, spec, root) if origin is None else None
    if imagenet is None:
        raise missing(spec, root, origin, "")
    log.warning(
        "weights %s of %s are not in %s: ImageNet's are tried, which Keras downloads unless it has them",
        spec.weights, spec.backbone, root,
    )  # fmt: skip
    try:
        backbone = _load(imagenet, precision, settings)
    except BackboneError as error:
        raise missing(spec, root, origin, f"ImageNet's were tried: {error}") from error
    if backbone.weights_digest != spec.weights:
        raise missing(spec, root, origin, f"ImageNet's are {backbone.weights_digest}")
    return backbone


def _load(model: Model, precision: Precision, settings: Settings) -> Backbone:
    """Load `model` on the device that is set, and remember where its weights came from."""
    backbone: Backbone
    if _on_gpu(settings):
        from common.backbones.tensorflow_engine import TensorFlowBackbone, claim_gpu

        claim_gpu()
        backbone = TensorFlowBackbone(model, precision)
    else:
        require_precision(precision)
        backbone = _run(converted_model(model, precision, settings.state_dir), precision, settings)
    remember_origin(cache_folder(settings.state_dir), model, backbone.weights_digest)
    return backbone


def _run(found: ConvertedModel, precision: Precision, settings: Settings) -> OpenVinoBackbone:
    return OpenVinoBackbone(found.model, found.card, threads=settings.threads, precision=precision)


def _checked(precision: str) -> Precision:
    for known in get_args(Precision):
        if known == precision:
            return cast(Precision, known)
    raise BackboneError(f"there is no precision {precision!r}: set one of {', '.join(get_args(Precision))}")


def _on_gpu(settings: Settings) -> bool:
    if settings.device == "gpu" and not gpu_present():
        raise BackboneError("SENTINEL_DEVICE=gpu, but this machine shows no NVIDIA GPU: set it to cpu or auto")
    return settings.device == "gpu" or (settings.device == "auto" and gpu_usable())


def gpu_present() -> bool:
    """Return whether this machine shows an NVIDIA GPU to this process, without importing a library."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return False
    return Path("/dev/nvidia0").exists() or bool(shutil.which("nvidia-smi"))


def gpu_usable() -> bool:
    """Return whether there is a GPU and the CUDA libraries that TensorFlow needs to use it.

    A desktop with a graphics card but plain TensorFlow is a CPU machine. Where
    both are there and TensorFlow still fails, that is an error, never a silent
    change to the CPU.
    """
    return gpu_present() and (_has_package("nvidia.cudnn") or ctypes.util.find_library("cudnn") is not None)


def _has_package(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False

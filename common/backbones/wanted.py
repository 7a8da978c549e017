"""Which model a baseline's feature spec and the settings ask for together.

A setting that was made counts. What the settings leave open follows from the
baseline: its backbone by name, its weights by digest.
"""

from __future__ import annotations

from pathlib import Path

from common.backbones.backbone import Backbone
from common.backbones.models import Model, ModelKind, find_model
from common.backbones.names import ARCHITECTURES
from common.backbones.origins import known_digest
from common.backbones.weights import WeightsKind, imagenet_available
from common.contracts.batches import FeatureSpec
from common.errors import BaselineMismatch
from common.settings import Settings

_PATIENCE_SECONDS = 3.0  # for the host of ImageNet's weights to answer


def named_model(settings: Settings, spec: FeatureSpec) -> Model | None:
    """Return the model that the settings name for this baseline, None if they leave its weights open.

    Raises
    ------
    BaselineMismatch
        If SENTINEL_BACKBONE is set to another backbone than the baseline's, or SENTINEL_WEIGHTS is set for a
        backbone that carries its own weights.
    BackboneError
        If what is set is unknown or cannot be read.
    """
    backbone_set, weights_set = (field in settings.model_fields_set for field in ("backbone", "weights"))
    if backbone_set:
        model = find_model(settings)
        if model.name != spec.backbone:
            raise BaselineMismatch(
                f"SENTINEL_BACKBONE={settings.backbone} is {model.name}, but the baseline was made with "
                f"{spec.backbone} (weights {spec.weights}): unset SENTINEL_BACKBONE, or choose another baseline"
            )
        return model if weights_set or model.kind is not ModelKind.KERAS else None
    if not weights_set:
        return None
    if spec.backbone not in ARCHITECTURES:
        raise BaselineMismatch(
            f"SENTINEL_WEIGHTS={settings.weights} is set, but the baseline was made with {spec.backbone}, "
            f"which carries its own weights ({spec.weights}): unset SENTINEL_WEIGHTS"
        )
    return find_model(settings.model_copy(update={"backbone": spec.backbone}))


def imagenet_candidate(settings: Settings, spec: FeatureSpec, root: Path) -> Model | None:
    """Return the baseline's architecture with ImageNet weights, None if those cannot be the baseline's or to hand.

    Their digest is known only once they were loaded. So they are a candidate for any baseline of keras.applications
    until this machine has loaded them, and from then on by their digest.
    """
    if spec.backbone not in ARCHITECTURES:
        return None
    chosen = {"backbone": spec.backbone, "weights": WeightsKind.IMAGENET.value}
    model = find_model(settings.model_copy(update=chosen))
    if known_digest(root, model) not in {None, spec.weights}:
        return None
    return model if imagenet_available(_PATIENCE_SECONDS, spec.backbone) else None


def require_wanted(backbone: Backbone, spec: FeatureSpec, came_from: str) -> None:
    """Raise `BaselineMismatch` unless `backbone`, loaded from `came_from`, is the one that the baseline was made with.

    Parameters
    ----------
    came_from : what named it, as `SENTINEL_WEIGHTS=random:7`
    """
    if (backbone.name, backbone.weights_digest) == (spec.backbone, spec.weights):
        return
    raise BaselineMismatch(
        f"{came_from} gives weights {backbone.weights_digest} of {backbone.name}, but the baseline was made with "
        f"weights {spec.weights} of {spec.backbone}: {_what_to_unset(spec)}, or choose another baseline"
    )


def _what_to_unset(spec: FeatureSpec) -> str:
    if spec.backbone in ARCHITECTURES:
        return (
            "set SENTINEL_WEIGHTS to the weights that it was made with, "
            "or unset it if this machine has loaded those before"
        )
    return (
        "set SENTINEL_BACKBONE to the model that it was made with, or unset it if this machine has loaded that before"
    )


def missing(spec: FeatureSpec, root: Path, origin: Model | None, imagenet: str) -> BaselineMismatch:
    """Return the error for weights that neither the settings name nor the cache holds.

    Parameters
    ----------
    origin : where they came from when this machine loaded them, which is gone or has changed; None: it never did
    imagenet : what came of trying ImageNet's weights, empty if they were not tried
    """
    reason = f"which are not in the cache {root}"
    if origin is not None:
        reason += f" and came from {origin.path or origin.weights}, which is gone or has changed"
    if imagenet:
        reason += f" ({imagenet})"
    if spec.backbone in ARCHITECTURES:
        remedy = "set SENTINEL_WEIGHTS to their file, or to random:SEED if they were seeded, once"
    else:
        remedy = "set SENTINEL_BACKBONE to the model's file or hub name once"
    return BaselineMismatch(
        f"the baseline was made with weights {spec.weights} of {spec.backbone} in {spec.precision}, {reason}: "
        f"{remedy}; or set SENTINEL_STATE_DIR to the state folder that it was built with"
    )

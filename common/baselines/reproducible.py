"""Whether this version computes the features that a baseline is made of: sensors and decoding change between versions.

A baseline of another version can be opened and shown, but nothing can be judged by it.
"""

from __future__ import annotations

from common.baselines.storage import StoredBaseline
from common.contracts.batches import FeatureSpec
from common.contracts.zones import zones_text
from common.errors import BaselineMismatch
from common.modalities.registry import load_modality


def require_reproducible(stored: StoredBaseline) -> None:
    """Raise `BaselineMismatch`, which says how to build it again, if `stored` is made of features of another version.

    Raises
    ------
    BadModality
        If no installed package offers its modality.
    """
    spec, name = stored.baseline.feature_spec, stored.baseline.name
    if not (differ := what_differs(spec)):
        return
    zones = "".join(f" --ignore {zones_text((zone,))}" for zone in spec.ignore)
    raise BaselineMismatch(
        f"baseline {name!r} was made by another version ({differ}): rebuild the baseline with this version, "
        f"`sentinel baseline build FILES --name {name} --replace{zones}` on its golden footage"
    )


def what_differs(spec: FeatureSpec) -> str:
    """Return in words what this version computes otherwise than features of `spec`; empty: nothing.

    Raises
    ------
    BadModality
        If no installed package offers the modality.
    """
    modality = load_modality(spec.modality)
    ours = {"sensors": modality.sensors_version, "decode_pipeline": modality.decode_pipeline}
    return "; ".join(
        f"{what} {getattr(spec, what)}, here {here}" for what, here in ours.items() if getattr(spec, what) != here
    )

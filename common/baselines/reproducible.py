"""Whether this version computes the features that a baseline is made of: sensors and decoding change between versions.

A baseline of another version can be opened and shown, but nothing can be judged by it.
"""

from __future__ import annotations

from common.baselines.storage import StoredBaseline
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
    modality = load_modality(spec.modality)
    ours = {"sensors": modality.sensors_version, "decode_pipeline": modality.decode_pipeline}
    differ = [
        f"{what} {getattr(spec, what)}, here {here}" for what, here in ours.items() if getattr(spec, what) != here
    ]
    if not differ:
        return
    zones = "".join(f" --ignore {zones_text((zone,))}" for zone in spec.ignore)
    raise BaselineMismatch(
        f"baseline {name!r} was made by another version ({'; '.join(differ)}): rebuild the baseline with this version, "
        f"`sentinel baseline build FILES --name {name} --replace{zones}` on its golden footage"
    )

"""What several benchmarks need: the backbone as a worker on a CPU loads it, and a word on how far they are."""

from __future__ import annotations

import sys

from common.backbones import Backbone, load_backbone
from common.settings import Settings


def cpu_backbone(weights: str, threads: int = 1) -> Backbone:
    """Return the default backbone, whatever the environment says."""
    return load_backbone(Settings(_env_file=None, weights=weights, device="cpu", threads=threads), None)


def say(what: str) -> None:
    """Print on standard error, so that tables stay whole, that a part is done."""
    print(f"{what} done", file=sys.stderr, flush=True)

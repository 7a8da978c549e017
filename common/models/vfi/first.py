"""The first champion of a camera: the starting weights that ship, fitted to its golden footage if that is better."""

from __future__ import annotations

from common.models.bounds import lower_bound
from common.models.vfi.design import DESIGN, Design, Engine
from common.models.vfi.model import Interpolator, load_model
from common.models.vfi.scores import score, split_in_blocks
from common.models.vfi.training import Pool, Run
from common.models.vfi.triplets import TripletArray

_LEARNING_RATE = 2e-3
_DECAY = 0.98  # of the exponential average of the weights: about the last 50 steps
_BATCH = 12
_CROP = (64, 96)  # pixels


def starting_model(design: Design = DESIGN) -> Interpolator:
    """Return the model that ships, which has seen no camera's footage; raise `BadModel` if its files are damaged."""
    return load_model(design.starting, design)


def first_champion(
    golden: TripletArray, *, steps: int, seed: int, design: Design = DESIGN, engine: Engine | None = None
) -> Interpolator:
    """Return the starting weights fitted to golden triplets (n, 3, h, w, 3), or as they are.

    A part of the triplets is held out. Unless the fitted weights are surely better on it, by the lower 95% bound of
    the mean difference of PSNR, the starting weights stay.

    Parameters
    ----------
    steps : at most, and not seconds, so that every machine gets the same model
    engine : finds what the design's engine finds; None: that one
    """
    engine = engine or design.engine
    starting = starting_model(design)
    split = split_in_blocks(len(golden))
    held_out = golden[split.held_out]
    run = Run(
        starting.weights,
        [(Pool.of(golden[split.training], engine), _BATCH)],
        [(Pool.of(held_out, engine), 1.0)],
        crop=_CROP,
        rate=_LEARNING_RATE,
        steps=steps,
        decay=_DECAY,
        seed=seed,
    )
    run.take_steps(float("inf"), lambda step: None)
    fitted = Interpolator(run.best, design)
    before, after = score([starting, fitted], held_out, engine)
    return fitted if lower_bound(after - before) > 0.0 else starting

"""From a champion to a challenger, by whatever trainer its kind has: it may break, and it may not end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from common.errors import SentinelError, TrainingFailed
from common.models.incident_actions import is_time_limit
from common.models.material import Material
from common.models.protocols import Examples, Model, ModelKind, TrainingProgress
from common.models.replay import Replay
from common.settings import Settings

_GRACE_SECONDS = 300.0  # beside the steps: motion of all examples is computed, and graphs are traced
_OUT_OF_MEMORY = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")  # Python's, TensorFlow's, PyTorch's


def fine_tune(
    kind: ModelKind[Model],
    champion: Model,
    materials: Sequence[Material],
    replay: Replay,
    earlier: Sequence[Examples],
    settings: Settings,
    heard: Callable[[TrainingProgress], None],
) -> Model:
    """Return a challenger that was fine-tuned on the earlier part of some stretches.

    Parameters
    ----------
    earlier : examples of each live condition of the champion
    heard : is told of the progress

    Raises
    ------
    TrainingFailed
        If the trainer breaks, runs out of memory or goes on for much longer than it may.
    """
    end = time.monotonic() + settings.retrain_seconds + _GRACE_SECONDS
    of_listener: list[Exception] = []

    def tell(progress: TrainingProgress) -> None:
        if time.monotonic() > end:
            raise TrainingFailed(
                f"the trainer went on for more than {settings.retrain_seconds:.0f} s (SENTINEL_RETRAIN_SECONDS) and "
                f"another {_GRACE_SECONDS:.0f} s: it was stopped at step {progress.step}"
            )
        try:
            heard(progress)
        except Exception as error:
            of_listener.append(error)
            raise

    try:
        challenger = kind.trainer().fine_tune(
            champion,
            np.concatenate([material.training for material in materials]),
            replay.training,
            earlier,
            steps=settings.retrain_steps,
            seconds=settings.retrain_seconds,
            seed=settings.retrain_seed,
            progress=tell,
        )
    except Exception as error:  # whatever a trainer raises
        if error in of_listener or is_time_limit(error):
            raise
        raise TrainingFailed(_why(error)) from error
    return challenger.model


def _why(error: Exception) -> str:
    """Return why a training came to nothing."""
    name = type(error).__name__
    if name in _OUT_OF_MEMORY:
        return (
            f"the training ran out of memory ({name}): lower SENTINEL_RETRAIN_MEMORY_MB, with which fewer examples are "
            "read, or give the retrain worker more"
        )
    return str(error) if isinstance(error, SentinelError) else f"the trainer broke: {name}: {error}"

"""A camera whose recordings go through a real embedding worker and reducer, and the model that serves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.contracts.batches import FrameBatch
from common.contracts.model_scores import GoldenScores
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Verdict
from common.models import registry
from common.models.live_scoring import golden_scores
from common.models.vfi.model import Interpolator
from common.settings import Settings
from common.sources.identity import describe_source
from common.sources.limits import Limits
from common.store import Store
from tests.feeding import verdicts
from workers import context, embedding, reducer, scoring

STREAM = "yard"


def perturbed(model: Interpolator, seed: int = 0) -> Interpolator:
    """Return a model with noise in each kernel, as large as what it holds."""
    numbers = np.random.default_rng(seed)
    return Interpolator(
        tuple(
            np.asarray(w + w.std() * numbers.standard_normal(w.shape), np.float32) if w.ndim > 1 else w
            for w in model.weights
        )
    )


@dataclass
class Yard:
    """The camera: its clips by name, in one folder."""

    store: Store
    settings: Settings
    folder: Path
    _shown: int = field(default=0)

    def show(self, clip: str, *, chunk_frames: int = 60) -> list[Verdict]:
        """Let a clip come in, in chunks, and return the new verdicts."""
        self._shown += 1
        before = {verdict.id for verdict in verdicts(self.store, STREAM)}
        spec = context.baselines().of_stream(STREAM).baseline.feature_spec
        source = describe_source(self.folder / f"{clip}.mp4", Limits())
        batch = FrameBatch(
            id=f"{clip}-{self._shown}", stream=STREAM, source=source, expected_frames=240,
            starts=tuple(range(0, 240, chunk_frames)), feature_spec=spec, received_at=0.0,
        )  # fmt: skip
        assert self.store.batches.register(batch)
        for chunk in self.store.batches.release(STREAM, 8):
            embedding.finish(embedding.embed, chunk)
        reducer.reduce(STREAM)
        return [verdict for verdict in verdicts(self.store, STREAM) if verdict.id not in before]

    def crown(self, model: Interpolator) -> ChampionRecord:
        """Make a model champion, as a person or a bad promotion would, whatever was champion before."""
        over = self.store.champions.champion("vfi")
        return registry.register_first(self.store, "vfi", model, over, self.settings.state_dir)

    def refer(self) -> GoldenScores:
        """Run the task that a chunk of the stream sends."""
        scoring.refer(STREAM)
        found = golden_scores(self.store, STREAM)
        assert found is not None
        return found

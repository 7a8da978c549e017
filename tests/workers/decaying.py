"""A camera whose recordings go through a real embedding worker and reducer, and the model that serves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from common.contracts.batches import FrameBatch
from common.contracts.model_scores import GoldenScores
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Verdict
from common.features import FeatureBlock
from common.models import registry
from common.models.cases import Outcome
from common.models.golden_reference import golden_scores
from common.models.healing import Healer
from common.models.kinds import load_kind
from common.models.vfi.model import Interpolator
from common.settings import Settings
from common.sources.identity import describe_source
from common.sources.limits import Limits
from common.store import Store
from tests.feeding import verdicts
from workers import context, embedding, reducer, scoring

STREAM = "yard"


@dataclass
class Yard:
    """The camera: its clips by name, in one folder."""

    store: Store
    settings: Settings
    folder: Path
    _shown: int = field(default=0)

    def show(self, clip: str, *, times: int = 1) -> list[Verdict]:
        """Let a clip come in, in chunks, and return the new verdicts; if it comes more than once, it is embedded once.

        What it shows and how the model does are the same each time.
        """
        before = {verdict.id for verdict in verdicts(self.store, STREAM)}
        spec = context.baselines().of_stream(STREAM).baseline.feature_spec
        source = describe_source(self.folder / f"{clip}.mp4", Limits())
        known: list[FeatureBlock | None] = []
        for time in range(times):
            self._shown += 1
            batch = FrameBatch(
                id=f"{clip}-{self._shown}", stream=STREAM, source=source, expected_frames=240,
                starts=(0, 60, 120, 180), feature_spec=spec, received_at=0.0,
            )  # fmt: skip
            assert self.store.batches.register(batch)
            for number, chunk in enumerate(self.store.batches.release(STREAM, 8)):
                if time == 0:
                    embedding.finish(embedding.embed, chunk)
                elif (features := known[number]) is not None:
                    self.store.chunks.finish(chunk, features)
            known = known or [done.features for done in self.store.streams.finished(STREAM, 8)]
            reducer.reduce(STREAM)
        return [verdict for verdict in verdicts(self.store, STREAM) if verdict.id not in before]

    def crown(self, model: Interpolator) -> ChampionRecord:
        """Make a model champion, as a person or a bad promotion would, whatever was champion before."""
        over = self.store.champions.champion("vfi")
        return registry.register_first(self.store, "vfi", model, over, self.settings.state_dir)

    def heal(self) -> Outcome:
        """Retrain for the stream, and have what it notes written into its incidents."""
        healer = Healer(
            self.store, self.settings, context.baselines(), "vfi", load_kind("vfi"),
            report=lambda stage, share, detail, training=None: None, leave=self.store.streams.note,
        )  # fmt: skip
        try:
            return healer.heal([STREAM])
        finally:
            reducer.reduce(STREAM)

    def refer(self) -> GoldenScores:
        """Run the task that a chunk of the stream sends."""
        scoring.refer(STREAM)
        found = golden_scores(self.store, STREAM)
        assert found is not None
        return found

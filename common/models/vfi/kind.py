"""Video frame interpolation as a kind of model; entry point `vfi` offers the one of DIS flow."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self, cast

from common.contracts.batches import FIRST_MODALITY, SourceKind
from common.errors import BadSource
from common.features import FeatureBlock, FloatArray
from common.models.protocols import Footage, Predictor, Split
from common.models.vfi.design import DESIGN, Design
from common.models.vfi.first import first_champion
from common.models.vfi.footage import golden_replay, source_triplets
from common.models.vfi.framing import why_elsewhere
from common.models.vfi.live import COLUMNS, read_live, score_live, starting_model_once
from common.models.vfi.model import Interpolator, load_model
from common.models.vfi.motion import why_unfit
from common.models.vfi.references import Average, Blender, Flow
from common.models.vfi.remembered import RememberedMotion
from common.models.vfi.scores import score, split_in_blocks, split_in_time
from common.models.vfi.trainer import InterpolatorTrainer
from common.models.vfi.triplets import TripletArray, longest_break, within_shots
from common.object_root import Root
from common.sources.limits import Limits

_FEWEST_TRIPLETS = 12  # with fewer, held-out scores are too noisy
_MOST_BREAK = 8  # triplets one after the other; a cut is in two, and what is longer is no cut


class InterpolationKind:
    """The kind of model that predicts the middle one of three frames.

    Parameters
    ----------
    design : what its models are made of
    """

    modality = FIRST_MODALITY
    fewest_examples = _FEWEST_TRIPLETS
    score_columns = COLUMNS

    def __init__(self, design: Design = DESIGN) -> None:
        self.design = design
        self._engine = design.engine

    @property
    def name(self) -> str:
        """Name of the design, by which its files are known."""
        return self.design.name

    def first_model(self, replay: TripletArray, *, steps: int, seed: int) -> Interpolator:
        """Return version 1: the starting weights, fitted to golden triplets if that is better on some of them."""
        if len(replay) < _FEWEST_TRIPLETS:
            raise BadSource(
                f"{len(replay)} golden frame triplets are too few for a first model, {_FEWEST_TRIPLETS} are needed: "
                "rebuild the baseline from longer footage"
            )
        return first_champion(replay, steps=steps, seed=seed, design=self.design, engine=self._engine)

    def load(self, folder: Path) -> Interpolator:
        """Return the model in `folder`; raise `BadModel` if it is not what was saved there."""
        return load_model(folder, self.design)

    def trainer(self) -> InterpolatorTrainer:
        """Return the trainer."""
        return InterpolatorTrainer(self.design, self._engine)

    def references(self) -> Mapping[str, Predictor]:
        """Return plain averaging and DIS optical flow, by name."""
        return {"average": Average(), "dis": Flow()}

    def score(self, predictors: Sequence[Predictor], examples: TripletArray) -> FloatArray:
        """Return the PSNR (p, n) in dB of p predictors on each of n triplets; motion is computed once for all."""
        # They are this kind's own, see `load_kind`.
        return score([cast(Blender, predictor) for predictor in predictors], examples, self._engine)

    def remembering(self, most_bytes: int) -> Self:
        """Return this kind, which finds the motion of the triplets that it trains on or scores only once."""
        kind = copy.copy(self)
        kind._engine = RememberedMotion(self.design.engine, most_bytes)
        return kind

    def read_golden(self, path: Path, kind: SourceKind, limits: Limits) -> TripletArray:
        """Return triplets spread over a golden clip, none of them across a cut."""
        return within_shots(golden_replay(path, kind, limits))

    def read_stretch(self, clip: FeatureBlock, *, limits: Limits, roots: Sequence[Root], most: int) -> Footage:
        """Return up to `most` triplets of a stretch in time order, and whether its motion can be learned from.

        Triplets across a cut are set aside. Where many of them follow each other, the frames there are not those of
        a scene: the judge may call it noise, and it would become part of a condition of the noise around it.
        """
        collected = source_triplets(clip, limits=limits, roots=roots, most=most)
        unfit = why_unfit(collected.surroundings)
        if unfit is None and (broken := longest_break(collected.triplets)) > _MOST_BREAK:
            unfit = (
                f"{broken} frames one after the other are unlike their neighbours, as plain noise is: "
                "nothing can be learned from it"
            )
        return Footage(within_shots(collected.triplets), unfit)

    def layers(self, model: Interpolator) -> Mapping[str, FloatArray]:
        """Return the weights of each convolution of the head, kernel and bias together."""
        return model.layers

    def why_elsewhere(self, examples: TripletArray, golden: TripletArray) -> str | None:
        """Return why the view of the middle frames is not that of golden footage; see `framing.why_elsewhere`."""
        return why_elsewhere(examples[:, 1], golden[:, 1])

    def split_golden(self, count: int) -> Split:
        """Split golden triplets in blocks, because they are spread over all of the golden footage."""
        return split_in_blocks(count)

    def split_stretch(self, count: int) -> Split:
        """Split a stretch in time: the earlier triplets train, the later ones are held out."""
        return split_in_time(count)

    def read_live(self, path: Path, times: Sequence[float], limits: Limits) -> tuple[TripletArray, list[int]]:
        """Return triplets that begin at some times of a recording, and which of the times they are of."""
        return read_live(path, times, limits)

    def score_live(self, models: Sequence[Interpolator], examples: TripletArray) -> FloatArray:
        """Return the gains of models over DIS flow and the starting weights, with PSNR and SSIM; see `live`."""
        return score_live(models, examples, self.design)

    def shipped_model(self) -> Interpolator:
        """Return the starting weights."""
        return starting_model_once(self.design)


KIND = InterpolationKind()

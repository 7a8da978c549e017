"""A model that learns in milliseconds and a backbone that costs nothing, for tests of healing on real video."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from common.backbones.backbone import Images, Precision
from common.features import FloatArray
from common.models.protocols import Challenger, Examples, Predictor, TrainingProgress
from common.models.vfi.kind import InterpolationKind
from common.models.vfi.scores import psnr_db

SIZE = (108, 192)  # height and width of the camera's pictures and of triplets, a quarter of what these are at work
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the blurred average, among which the model chooses
GRAIN = 4.0  # grey levels; the model has a share for each level of sensor noise, in steps of this


class Thumbnails:
    """A backbone whose features are the light in the parts of a picture."""

    name = "thumbnails"
    weights_digest = "none"
    precision: Precision = "f32"
    input_size = 32
    output_size = 48
    batch = 16
    offloaded = False

    def embed(self, images: Images) -> FloatArray:
        small = [cv2.resize(image, (4, 4), interpolation=cv2.INTER_AREA) for image in images]
        return (np.stack(small).reshape(len(images), -1) / 255.0).astype(np.float32)


@dataclass(frozen=True)
class Denoiser:
    """Predicts the average of the neighbours, blurred by a share that it has learned for the noise that it sees."""

    shares: Mapping[int, float]

    @property
    def digest(self) -> str:
        return json.dumps(sorted(self.shares.items()))

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        return np.stack([mixed(row, self.shares.get(grain(row), 0.0)) for row in small(examples)])

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "shares.json").write_text(self.digest)


class Averaging:
    """The reference: it never learned anything."""

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        return np.stack([mixed(row, 0.0) for row in small(examples)])


class Thrift:
    """Trains by trying each share on each level of noise."""

    def fine_tune(
        self,
        champion: Denoiser,
        drifted: Examples,
        replay: Examples,
        earlier: Sequence[Examples] = (),
        *,
        steps: int,
        seconds: float,
        seed: int,
        progress: Callable[[TrainingProgress], None],
    ) -> Challenger[Denoiser]:
        progress(TrainingProgress(1, 0.1, -30.0, 29.5))
        return Challenger(Denoiser({**champion.shares, **learned(drifted)}), 1, 0.1)

    def bytes_per_example(self, shape: tuple[int, ...]) -> int:
        return 0


class ThriftyKind(InterpolationKind):
    """Triplets are read and split as those of frame interpolation; the models are others."""

    name = "thrifty"

    def first_model(self, replay: Examples, *, steps: int, seed: int) -> Denoiser:  # type: ignore[override]
        return Denoiser(learned(replay))

    def load(self, folder: Path) -> Denoiser:  # type: ignore[override]
        return Denoiser({int(level): share for level, share in json.loads((folder / "shares.json").read_text())})

    def trainer(self) -> Thrift:  # type: ignore[override]
        return Thrift()

    def layers(self, model: Denoiser) -> Mapping[str, FloatArray]:  # type: ignore[override]
        return {"shares": np.array([model.shares.get(level, 0.0) for level in range(32)], np.float32)}

    def references(self) -> Mapping[str, Predictor]:
        return {"average": Averaging()}

    def score(self, predictors: Sequence[Predictor], examples: Examples) -> FloatArray:
        truth = small(examples)[:, 1]
        return np.stack([psnr_db(predictor.predict(examples), truth) for predictor in predictors])


KIND = ThriftyKind()


def learned(examples: Examples) -> dict[int, float]:
    """Return the best share for each level of noise in `examples` (n, 3, h, w, 3)."""
    rows = small(examples)
    levels = np.array([grain(row) for row in rows])
    scores = np.stack([psnr_db(np.stack([mixed(row, share) for row in rows]), rows[:, 1]) for share in SHARES])
    return {int(level): SHARES[int(scores[:, levels == level].mean(axis=1).argmax())] for level in np.unique(levels)}


def small(examples: Examples) -> Examples:
    """Return the middle of the examples."""
    return examples[:, :, SIZE[0] // 4 : SIZE[0] * 3 // 4, SIZE[1] // 4 : SIZE[1] * 3 // 4]


def mixed(triplet: Examples, share: float) -> npt.NDArray[np.uint8]:
    average = (triplet[0].astype(np.float32) + triplet[2]) / 2.0
    return np.asarray(np.rint(average + share * (cv2.blur(average, (3, 3)) - average)), np.uint8)


def grain(triplet: Examples) -> int:
    """Return the level of noise of a triplet (3, h, w, 3): how much its first frame differs from itself blurred."""
    frame = triplet[0].astype(np.float32)
    return int(np.median(np.abs(frame - cv2.medianBlur(triplet[0], 3))) / GRAIN)

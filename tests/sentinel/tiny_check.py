"""A tiny backbone and a baseline of 24 s of a scene, for checks of real clips that take a second."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from common.backbones import load_backbone
from common.baselines.storage import StoredBaseline, save_baseline
from common.contracts.batches import SourceKind
from common.drift.fitting import fit_baseline
from common.drift.windows import WindowRule
from common.extraction import Extractor
from common.modalities.video.groups import feature_groups
from common.modalities.video.modality import VIDEO
from common.models.protocols import Examples
from common.settings import Settings
from common.sources.limits import Limits
from tests.common.backbones.builders import write_onnx
from tests.footage import scene, write_clip

FPS, SAMPLE_FPS = 10.0, 5.0
RULE = WindowRule(frames=12, stride=3)
OWN = Settings(_env_file=None)  # type: ignore[call-arg]


class Silent:
    """Shows no progress."""

    def source(self, name: str, frames: int) -> nullcontext[Silent]:
        return nullcontext(self)

    def advance(self, frames: int) -> None: ...

    def say(self, text: str) -> None: ...


def tiny_extractor(folder: Path) -> Extractor:
    own = OWN.model_copy(
        update={"state_dir": folder, "backbone": str(write_onnx(folder / "tiny.onnx")), "device": "cpu"}
    )
    return Extractor(VIDEO, load_backbone(own, None), Limits())


def tiny_baseline(
    extractor: Extractor, folder: Path, *, name: str = "tiny", replay: Examples | None = None
) -> StoredBaseline:
    golden = write_clip(folder / "golden.mp4", scene(240), fps=FPS)
    block = extractor.extract(golden, SourceKind.RECORDING, uri=str(golden), sample_fps=SAMPLE_FPS)
    baseline = fit_baseline(
        [("golden.mp4", block)], name=name, feature_spec=extractor.feature_spec(SAMPLE_FPS), rule=RULE,
        groups=feature_groups(block.widths["embedding"]), created_at=0.0, libraries={},
    )  # fmt: skip
    return save_baseline(baseline, folder / "tiny", replay)

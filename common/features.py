"""Arrays of features, one row per frame, and how they are stored."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage

FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int32]
Image = npt.NDArray[np.uint8]
"""One frame: (height, width, 3), RGB, 8 bit."""


@dataclass(frozen=True, eq=False)
class FeatureBlock:
    """Features of n consecutive sampled frames, with where each frame came from.

    Attributes
    ----------
    embedding : (n, d) float32, the backbone's view
    quality : (n, q) float32, the camera-quality sensors' view at native resolution
    times : (n,) float64, seconds from the start of the frame's source
    sources : URIs of the sources that the frames came from
    source_index : (n,) int32, which of `sources` each frame came from
    """

    embedding: FloatArray
    quality: FloatArray
    times: TimeArray
    sources: tuple[str, ...]
    source_index: IndexArray

    def __post_init__(self) -> None:
        n = len(self.times)
        if self.embedding.ndim != 2 or self.quality.ndim != 2:
            raise BadMessage("features must be two-dimensional: (frames, features)")
        if not n == len(self.embedding) == len(self.quality) == len(self.source_index):
            raise BadMessage("features, times and sources differ in their number of frames")
        if n and not 0 <= int(self.source_index.min()) <= int(self.source_index.max()) < len(self.sources):
            raise BadMessage("a frame names a source that is not listed")

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice) -> FeatureBlock:
        return FeatureBlock(
            self.embedding[frames], self.quality[frames], self.times[frames], self.sources, self.source_index[frames]
        )._compact()

    def source_of(self, frame: int) -> str:
        return self.sources[int(self.source_index[frame])]

    def _compact(self) -> FeatureBlock:
        """Drop sources that no frame names, so that a long-lived window does not collect them."""
        used = sorted({int(i) for i in self.source_index})
        if len(used) == len(self.sources):
            return self
        renumber = np.zeros(max(len(self.sources), 1), dtype=np.int32)
        renumber[used] = np.arange(len(used), dtype=np.int32)
        names = tuple(self.sources[i] for i in used)
        return FeatureBlock(self.embedding, self.quality, self.times, names, renumber[self.source_index])

    @classmethod
    def empty(cls, embedding_size: int, quality_size: int) -> FeatureBlock:
        return cls(
            np.zeros((0, embedding_size), np.float32),
            np.zeros((0, quality_size), np.float32),
            np.zeros(0, np.float64),
            (),
            np.zeros(0, np.int32),
        )

    @classmethod
    def concatenate(cls, blocks: Sequence[FeatureBlock]) -> FeatureBlock:
        """Join blocks in order; raise `BadMessage` where their widths differ."""
        if not blocks:
            raise BadMessage("no features to join")
        widths = {(b.embedding.shape[1], b.quality.shape[1]) for b in blocks}
        if len(widths) > 1:
            raise BadMessage(f"features of different widths cannot be joined: {sorted(widths)}")
        names: dict[str, int] = {}
        columns = []
        for block in blocks:
            renumber = np.array([names.setdefault(uri, len(names)) for uri in block.sources] or [0], dtype=np.int32)
            columns.append(renumber[block.source_index])
        return cls(
            np.concatenate([b.embedding for b in blocks]),
            np.concatenate([b.quality for b in blocks]),
            np.concatenate([b.times for b in blocks]),
            tuple(names),
            np.concatenate(columns),
        )

    def to_bytes(self) -> bytes:
        """Encode as an uncompressed npz. Embeddings travel as float16 (MEASURED: nothing is lost that matters)."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            embedding=self.embedding.astype(np.float16),
            quality=self.quality,
            times=self.times,
            sources=np.array(self.sources, dtype=np.str_),
            source_index=self.source_index,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> FeatureBlock:
        """Decode what `to_bytes` made; raise `BadMessage` for anything else. Never unpickles."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls(
                    arrays["embedding"].astype(np.float32),
                    arrays["quality"].astype(np.float32),
                    arrays["times"].astype(np.float64),
                    tuple(str(uri) for uri in arrays["sources"]),
                    arrays["source_index"].astype(np.int32),
                )
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise BadMessage(f"stored features cannot be read: {error}") from error

    def as_stored(self) -> FeatureBlock:
        """Return the block as it reads back from storage, so that `check` and the queues judge equal numbers."""
        half = self.embedding.astype(np.float16).astype(np.float32)
        return FeatureBlock(half, self.quality, self.times, self.sources, self.source_index)

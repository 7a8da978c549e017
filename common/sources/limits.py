"""Limits on sources and their samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from common.errors import BadSource
from common.settings import Settings


@dataclass(frozen=True)
class Limits:
    """Limits on sources and frames. The defaults are those of the settings of the same names."""

    max_pixels: int = 50_000_000
    min_side: int = 32
    max_file_bytes: int = 20_000_000_000
    max_folder_files: int = 100_000
    max_frames: int = 5_000_000
    max_seconds: float = 200_000.0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(
            max_pixels=settings.max_pixels,
            min_side=settings.min_side,
            max_file_bytes=settings.max_file_bytes,
            max_folder_files=settings.max_folder_files,
            max_frames=settings.max_frames,
            max_seconds=settings.max_seconds,
        )

    def check_size(self, name: str, width: int, height: int) -> None:
        """Raise `BadSource` if frames of `width` x `height` pixels may not be decoded."""
        if width * height > self.max_pixels:
            raise BadSource(
                f"{name} is {width} x {height} pixels, more than SENTINEL_MAX_PIXELS ({self.max_pixels}): "
                "scale it down, or raise the setting if the machine has the memory"
            )
        if min(width, height) < self.min_side:
            raise BadSource(
                f"{name} is {width} x {height} pixels, less on a side than SENTINEL_MIN_SIDE ({self.min_side}): "
                "send frames as the camera made them"
            )

    def check_length(self, name: str, frames: int, seconds: float) -> None:
        """Raise `BadSource` if a source with this number of frames or seconds is too long."""
        if frames > self.max_frames:
            raise BadSource(f"{name} has {frames} frames, more than SENTINEL_MAX_FRAMES ({self.max_frames}): cut it")
        if seconds > self.max_seconds:
            raise BadSource(
                f"{name} lasts {seconds:.0f} s, longer than SENTINEL_MAX_SECONDS ({self.max_seconds:.0f}): cut it"
            )

"""Small real clips and images for tests, made with the same libraries that read them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from common.features import Image
from common.modalities.video.frame import Frame


def scene(count: int, *, width: int = 96, height: int = 64, seed: int = 0) -> list[Image]:
    """Return frames of a smooth texture that moves sideways, with a bar at the top whose position encodes the index."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 215, (height // 8 + 2, width // 8 + 2, 3)).astype(np.float32)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    frames = []
    for number in range(count):
        image = np.clip(np.roll(texture, 2 * number, axis=1), 0, 255).astype(np.uint8)
        image[:6] = 0
        image[:6, number % width : number % width + 3] = 255
        frames.append(image)
    return frames


def stills(folder: Path, names: list[str], first: int = 0) -> None:
    """Write frames of a scene, from number `first` on, as images of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names, scene(12)[first:], strict=False):
        assert cv2.imwrite(str(folder / name), frame)


def write_clip(
    path: Path,
    images: Sequence[Image],
    *,
    fps: float = 25.0,
    codec: str = "libx264",
    gop: int = 12,
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    pixels: str = "yuv420p",
) -> Path:
    """Encode `images` with B-frames and a key frame every `gop` frames, unless `options` override it; `times` in s."""
    rate = Fraction(fps).limit_denominator(1001)
    tick = Fraction(1, 1000) if times is not None else 1 / rate
    settings = {"bf": "3", "sc_threshold": "0"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={**settings, "g": str(gop), **(options or {})})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = tick
        for number, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts = number if times is None else round(times[number] / tick)
            picture.time_base = tick
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def write_images(folder: Path, images: Sequence[Image], *, suffix: str = ".png") -> Path:
    """Write `images` as `frame1.png`, `frame2.png`, ... into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, 1):
        assert cv2.imwrite(str(folder / f"frame{number}{suffix}"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


def same(left: Sequence[Frame], right: Sequence[Frame]) -> bool:
    """Return whether two lists of frames have the same pixels, indices, times and vitals."""
    return len(left) == len(right) and all(
        a.index == b.index
        and a.time == b.time
        and np.array_equal(a.image, b.image)
        and (a.vitals is b.vitals is None or np.array_equal(a.vitals, b.vitals))  # type: ignore[arg-type]
        for a, b in zip(left, right, strict=True)
    )


def close(left: Image, right: Image) -> bool:
    """Return whether two images of one size differ by less than 12 grey levels on average."""
    return float(np.abs(left.astype(float) - right).mean()) < 12.0

"""`sentinel interpolate`: a video at twice or four times its frame rate."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from common.errors import BadSource
from common.models.names import DEFAULT_MODEL
from common.printable import encodable
from common.settings import get_settings
from sentinel.cli.console import JsonOption, err, frame_progress, out, print_json
from sentinel.stack.local import open_store, settings_of_stack


def interpolate(
    source: Annotated[Path, typer.Argument(help="A video, or a folder of images.")],
    target: Annotated[Path, typer.Option("--out", help="Video to write; its suffix says the format.")],
    factor: Annotated[int, typer.Option(help="2 or 4: by how much the frame rate grows.")] = 2,
    stream: Annotated[str, typer.Option(help="Its champion, not the starting weights.")] = "",
    model: Annotated[str, typer.Option(help="Whose starting weights, without --stream.", show_default="vfi")] = "",
    as_json: JsonOption = False,
) -> None:
    """Interpolate SOURCE: write it with more frames per second. Its own frames stay as they are and where they are."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # nobody who types a command reads what TensorFlow logs
    from common.models.vfi.interpolate import FACTORS, interpolate_video
    from common.models.vfi.serving import of_stream, without_stream
    from common.sources.limits import Limits

    if factor not in FACTORS:
        raise typer.BadParameter(f"--factor is {' or '.join(map(str, FACTORS))}, not {factor}")
    if not source.exists():
        raise BadSource(f"{source} does not exist: name a video or a folder of images")
    if stream and model:
        raise typer.BadParameter("--stream names the model already, by its binding: leave --model out")
    settings = settings_of_stack(get_settings())
    serving = of_stream(open_store(settings), settings, stream) if stream else without_stream(model or DEFAULT_MODEL)
    err.print(f"model: {serving.description}")
    limits = Limits.from_settings(settings)
    with frame_progress() as progress, progress.source(source.name, 0) as bar:
        done = interpolate_video(source, target, serving.model, factor=factor, limits=limits, progress=bar.at)
    if as_json:
        print_json(
            json.dumps(
                {
                    "path": encodable(str(target)),
                    "frames": done.frames,
                    "source_frames": done.source_frames,
                    "cuts": done.cuts,
                    "model": serving.description,
                    "digest": serving.model.digest,
                }
            )
        )
    else:
        cuts = f", nothing blended across {done.cuts} cuts" if done.cuts else ""
        out.print(f"{target}: {done.frames} frames of {done.source_frames}{cuts}")

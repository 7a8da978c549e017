"""Which weights a backbone is asked to load: `imagenet`, a file, or `random:SEED`."""

from __future__ import annotations

import hashlib
import os
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.errors import BackboneError

# What Keras downloads for the default backbone, and from where. A test holds both against the installed Keras.
IMAGENET_URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
IMAGENET_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"

_LARGEST_SEED = 2**32 - 1
_DIGEST_BYTES = 16


class WeightsKind(StrEnum):
    """Where weights come from."""

    IMAGENET = "imagenet"
    RANDOM = "random"
    FILE = "file"


@dataclass(frozen=True)
class Weights:
    """A parsed `SENTINEL_WEIGHTS`.

    Attributes
    ----------
    kind : where they come from
    identity : tells two weights apart before they are loaded; a file is known by its content, not its name
    seed : of seeded weights
    path : of a weights file
    """

    kind: WeightsKind
    identity: str
    seed: int = 0
    path: Path | None = None


def parse_weights(setting: str) -> Weights:
    """Parse `imagenet`, `random:SEED` or the path of a Keras weights file.

    Raises
    ------
    BackboneError
        If the seed is no number, or the file cannot be read.
    """
    if setting == WeightsKind.IMAGENET:
        return Weights(WeightsKind.IMAGENET, "imagenet")
    kind, _, seed = setting.partition(":")
    if kind == WeightsKind.RANDOM:
        if not (seed.isascii() and seed.isdigit()) or int(seed) > _LARGEST_SEED:
            raise BackboneError(
                f"SENTINEL_WEIGHTS={setting!r} has no seed: say random:SEED, a whole number up to {_LARGEST_SEED}"
            )
        return Weights(WeightsKind.RANDOM, f"random:{int(seed)}", seed=int(seed))
    path = Path(setting).expanduser()
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_DIGEST_BYTES))
    except OSError as error:
        raise BackboneError(
            f"weights file {path} cannot be read ({error.strerror or error}): "
            "set SENTINEL_WEIGHTS to a Keras weights file, to imagenet or to random:SEED"
        ) from error
    return Weights(WeightsKind.FILE, f"file:{digest.hexdigest()}", path=path.resolve())


def imagenet_available(timeout_seconds: float) -> bool:
    """Return whether the default backbone's ImageNet weights can be had: cached by Keras, or its host answers.

    A quick look that imports nothing and downloads nothing; always back within
    about `timeout_seconds`, a name server that does not answer included.
    """
    home = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser())
    if (home / "models" / IMAGENET_FILE).is_file():
        return True
    answers: list[bool] = []
    # A thread, because the look-up of a host name knows no time limit.
    asking = threading.Thread(
        target=lambda: answers.append(_host_has(IMAGENET_URL + IMAGENET_FILE, timeout_seconds)), daemon=True
    )
    asking.start()
    asking.join(timeout_seconds)
    return bool(answers) and answers[0]


def _host_has(url: str, timeout_seconds: float) -> bool:
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=timeout_seconds) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False

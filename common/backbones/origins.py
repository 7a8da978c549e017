"""Where the weights that this machine has loaded came from, so that a digest is enough to load them again.

`<state_dir>/backbones/origin-<id>.json` holds one record per backbone and weights digest. The converted model of a
CPU is found by its own card; a GPU loads the original, and a converted model may have to be made again.
"""

from __future__ import annotations

import logging
from pathlib import Path

from common.backbones.models import Model
from common.contracts.ids import Message, content_id
from common.errors import BadMessage
from common.whole_files import write_whole

log = logging.getLogger(__name__)

_PATTERN = "origin-*.json"


class Origin(Message):
    """The model that gave a backbone its weights."""

    weights_digest: str
    model: Model


def remember_origin(root: Path, model: Model, weights_digest: str) -> None:
    """Record in the cache folder `root` that `model` has weights of this digest.

    A cache that cannot be written is no error: what is in it can still be used.
    """
    path = _path(root, model.name, weights_digest)
    text = Origin(weights_digest=weights_digest, model=model).to_json()
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        write_whole(path, text.encode())
    except OSError as error:
        log.info("the origin of weights %s is not recorded in %s: %s", weights_digest, root, error)


def find_origin(root: Path, name: str, weights_digest: str) -> Model | None:
    """Return the model that gave backbone `name` the weights of this digest, None if this machine never loaded it."""
    origin = _read(_path(root, name, weights_digest))
    fits = origin is not None and (origin.model.name, origin.weights_digest) == (name, weights_digest)
    return origin.model if origin is not None and fits else None


def known_digest(root: Path, model: Model) -> str | None:
    """Return the weights digest of a model that was loaded here before, None if it was not."""
    for path in sorted(root.glob(_PATTERN)):
        origin = _read(path)
        if origin is not None and origin.model.identity == model.identity:
            return origin.weights_digest
    return None


def _path(root: Path, name: str, weights_digest: str) -> Path:
    # Hashed, because a feature spec comes from a message and may hold anything.
    return root / f"origin-{content_id(name, weights_digest)}.json"


def _read(path: Path) -> Origin | None:
    try:
        return Origin.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, BadMessage) as error:
        log.warning("%s cannot be read and is ignored: %s", path, error)
        return None

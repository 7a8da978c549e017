"""Which model interpolates the footage of a stream: its champion, or the starting weights."""

from __future__ import annotations

from dataclasses import dataclass

from common.contracts.ids import check_stream_name
from common.errors import BadModel, SettingsError, UnknownStream
from common.models.kinds import load_kind
from common.models.protocols import Model
from common.models.versions import load_version
from common.models.vfi.kind import InterpolationKind
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of, stream_config


@dataclass(frozen=True, eq=False)
class Serving:
    """A model, and a sentence part that says which it is."""

    model: Model
    description: str


def without_stream(model: str) -> Serving:
    """Return the starting weights of a model; raise `BadModel` if it interpolates no frames."""
    return Serving(_kind(model).shipped_model(), f"starting weights of {model}")


def _kind(name: str) -> InterpolationKind:
    kind = load_kind(name)
    if not isinstance(kind, InterpolationKind):
        raise BadModel(f"model {name!r} interpolates no frames: name another")
    return kind


def of_stream(store: Store, settings: Settings, stream: str) -> Serving:
    """Return the champion that serves `stream`; the starting weights as long as its model has none.

    Raises
    ------
    UnknownStream
        If no footage of the stream ever came, and no table in sentinel.toml names it.
    BadModel
        If its model interpolates no frames, or the champion's files are not what was saved.
    """
    try:
        stream = check_stream_name(stream)
    except ValueError as error:
        raise SettingsError(f"{error}: see `sentinel streams list`") from error
    if stream not in store.streams.names() and stream not in stream_config(settings).streams:
        raise UnknownStream(
            f"there is no stream {stream!r}: see `sentinel streams list`, or leave it out to use the starting weights"
        )
    name = model_of(settings, stream)
    kind = _kind(name)
    champion = store.champions.champion(name)
    if champion is None or champion.model_path is None or champion.model_digest is None:
        return Serving(kind.shipped_model(), f"starting weights, because model {name} has no champion yet")
    return Serving(load_version(kind, champion), f"{name} v{champion.version}, champion of {stream}")

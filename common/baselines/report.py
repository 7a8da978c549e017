"""What each stream is bound to: its golden baseline, its model, and what people said of it."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from common.baselines.binding import BaselineBinding
from common.baselines.golden import ComesFrom
from common.contracts.golden import GoldenRecord, Mute
from common.contracts.ids import Message
from common.contracts.learning import LearningProgress
from common.contracts.truth import TruthProgress
from common.contracts.verdicts import ResolutionChange
from common.errors import BadBaseline, BadMessage, NotLearned, SettingsError
from common.queries import matches
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of, stream_config
from common.stream_learning import learning_progress


class StreamBinding(Message):
    """What one stream is bound to."""

    stream: str
    model: str = Field(description="name of the model that serves it")
    baseline: str | None = Field(
        description="name of its golden baseline; None: it waits for one, or learns from what comes first"
    )
    baseline_id: str | None = Field(description="digest of the golden baseline")
    folder: str | None = Field(description="of the golden baseline")
    comes_from: ComesFrom | None = Field(description="who says that this is its golden baseline")
    waiting: str = Field("", description="why it waits for a baseline, and what to do; empty: it does not")
    has_footage: bool = Field(description="whether a batch of it was ever accepted")
    learning: LearningProgress | None = Field(None, description="what it learns by itself; None: its baseline is made")
    resolution: ResolutionChange | None = Field(
        None, description="that the pictures of its latest verdict have another size than golden's"
    )
    truth: tuple[TruthProgress, ...] = Field(
        (), description="how far what is true of its frames is, by version of a model of a user's own and measure"
    )
    mute: Mute | None = None
    history: tuple[GoldenRecord, ...] = Field((), description="acceptances and what was undone, oldest first")


def stream_bindings(store: Store, settings: Settings, pattern: str = "") -> list[StreamBinding]:
    """Return what every stream is bound to that has footage, waits, or has a table in sentinel.toml, by name.

    Parameters
    ----------
    pattern : name or pattern of the streams, see `common.queries.matches`
    """
    return bindings_of(store, settings, [name for name in known_streams(store, settings) if matches(name, pattern)])


def known_streams(store: Store, settings: Settings) -> list[str]:
    """Return the names of the streams that have footage, wait for a baseline, or have a table in sentinel.toml."""
    return sorted({*store.streams.names(), *store.golden.waiting(), *stream_config(settings).streams})


def bindings_of(store: Store, settings: Settings, streams: Iterable[str]) -> list[StreamBinding]:
    """Return what each of `streams` is bound to."""
    binding = BaselineBinding(settings, store)
    said = {name: row.reason for name, row in store.golden.waiting().items()}
    return [_of(store, binding, stream, said.get(stream, "")) for stream in streams]


def _of(store: Store, binding: BaselineBinding, stream: str, said: str) -> StreamBinding:
    golden, waiting = None, said
    try:
        golden = binding.find(stream)
    except NotLearned:
        pass  # it learns from what comes first
    except (BadBaseline, SettingsError) as error:
        waiting = str(error)
    try:
        history = tuple(store.golden.history(stream))
    except BadMessage:  # a newer version wrote it; the rest can still be shown, and `waiting` says why it waits
        history = ()
    window = store.streams.window(stream)
    return StreamBinding(
        stream=stream,
        model=model_of(binding.settings, stream),
        baseline=golden.name if golden else None,
        baseline_id=golden.id if golden else None,
        folder=str(golden.folder) if golden else None,
        comes_from=golden.comes_from if golden else None,
        waiting=waiting,
        has_footage=store.streams.is_known(stream),
        learning=learning_progress(store, stream, window)
        if golden is not None and golden.learning is not None
        else None,
        resolution=window.verdict.resolution if window.verdict is not None else None,
        truth=store.truth.progress(stream),
        mute=store.golden.muted(stream),
        history=history,
    )

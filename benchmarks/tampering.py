"""Films in which a camera is tampered with: is nothing said before, and how soon is it found?

    python -m benchmarks.tampering --data FOLDER --begins FILE.csv

The file has a line for each film, with a header:

    film,begins,until
    turned.mp4,83,167
    quiet.mp4,,

`begins` is the first frame, counted from 0, in which the tampering shows; nothing: there is none, and no FAIL is
right. Frames from `until` on are not judged, as where words are burnt in; nothing: the film is judged to its end. The
first two thirds of what comes before the tampering are golden, or more if windows need it. What follows is judged in
windows as in operation. A window is known when its last frame is; times are counted from the first frame of the
tampering.

Settings (SENTINEL_*) apply as usual: for films that begin with less than three seconds of normal activity, set
SENTINEL_WINDOW_FRAMES to 8.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.footage import plan
from benchmarks.machine import machine
from benchmarks.shares import AlarmCount, Share, total
from benchmarks.workbench import fit, judged
from common.contracts.batches import SourceKind
from common.contracts.verdicts import Status
from common.drift.conditions import frames_needed
from common.drift.confirmation import AlarmRule
from common.errors import BadSource, BaselineTooShort, SentinelError, SettingsError
from common.extraction import Extractor, load_extractor
from common.modalities.video.modality import VIDEO
from common.printable import printable
from common.settings import Settings

_COLUMNS = ["film", "begins", "until"]
_GOLDEN = 2 / 3  # of what comes before the tampering
_MOST_BYTES = 1_000_000  # of a file that lists films
_MOST_DIGITS = 9


@dataclass(frozen=True)
class Film:
    """A film, with the frames where the tampering begins and where judging ends; None: none begins, the film's end."""

    path: Path
    begins: int | None
    until: int | None


@dataclass(frozen=True)
class Outcome:
    """What was said of a film.

    Attributes
    ----------
    before : windows before the tampering that FAIL
    alarms_before : confirmed alarms before it
    first, confirmed : seconds of footage until the first FAIL and until one was confirmed; None: never
    cause : of the first FAIL
    judged : seconds of footage of the tampering that were judged
    window : seconds of one window
    """

    before: Share
    alarms_before: int
    first: float | None
    confirmed: float | None
    cause: str
    judged: float
    window: float


def read_films(listing: Path, data: Path) -> list[Film]:
    """Return the films that a file lists; raise `SettingsError` where a line cannot be understood."""
    try:
        with listing.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        rows = list(csv.reader(content.decode("utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{listing} cannot be read: {error}") from None
    if len(content) > _MOST_BYTES:
        raise SettingsError(f"{listing} is no list of films: it is larger than {_MOST_BYTES} bytes")
    if not rows or [cell.strip() for cell in rows[0]] != _COLUMNS:
        raise SettingsError(f"{listing} has to begin with the line {','.join(_COLUMNS)}")
    return [_film(row, f"{listing}, line {number}", data) for number, row in enumerate(rows[1:], 2) if row]


def _film(row: list[str], where: str, data: Path) -> Film:
    if len(row) != len(_COLUMNS):
        raise SettingsError(f"{where}: give a film and two frames, as in turned.mp4,83,167; a frame may be left empty")
    name, *cells = (cell.strip() for cell in row)
    if not name or Path(name).name != name or not (data / name).is_file():
        raise SettingsError(f"{where}: {data} holds no film {printable(name)!r}")
    begins, until = (_frame(cell, where) for cell in cells)
    if begins is not None and until is not None and until <= begins:
        raise SettingsError(f"{where}: judging has to end after frame {begins}, where the tampering begins")
    return Film(data / name, begins, until)


def _frame(cell: str, where: str) -> int | None:
    if not cell:
        return None
    if not (cell.isascii() and cell.isdigit() and len(cell) <= _MOST_DIGITS):
        raise SettingsError(f"{where}: {printable(cell)!r} is no number of a frame, counted from 0")
    return int(cell)


def measure(film: Film, extractor: Extractor, settings: Settings) -> Outcome:
    """Judge one film; raises `SentinelError` if it cannot be read, or begins with too little to be golden."""
    kind = SourceKind.RECORDING
    info = VIDEO.probe(film.path, kind, extractor.limits)
    known = info.frames if film.begins is None else film.begins
    if not 0 < known <= info.frames:
        raise BadSource(f"{film.path.name} has {info.frames} frames: tampering has to begin after the first of them")
    sampling = plan(film.path, extractor, settings, kind, share=_GOLDEN * known / info.frames)
    block = extractor.extract(film.path, kind, uri=film.path.name, sample_fps=sampling.fps)
    fps, frames, stride = sampling.fps or info.fps, sampling.rule.frames, sampling.rule.stride

    def sample_at(frame: int | None) -> int:
        """Return the first sample that is not before a frame of the film."""
        if frame is None:
            return len(block)
        return int(np.searchsorted(block.times - block.times[0], (frame - 0.5) / info.fps))

    begins, until = sample_at(film.begins), sample_at(film.until)
    golden = max(int(begins * _GOLDEN), frames_needed(frames))
    if golden > begins:
        raise BaselineTooShort(
            f"{film.path.name} shows {begins} frames before the tampering; golden footage for windows of {frames} "
            f"needs {golden}: set SENTINEL_WINDOW_FRAMES lower"
        )
    name = film.path.stem
    baseline = fit(name, [(name, block[:golden])], sampling.rule)
    alarms = AlarmCount(AlarmRule.of(settings.false_alarms_per_day, frames, baseline.frames_per_second))
    before, alarms_before = Share(), 0
    first: float | None = None
    confirmed: float | None = None
    cause = ""
    for start in range(golden, until - frames + 1, stride):
        stop = start + frames
        judgement = judged(baseline, block[start:stop], settings)
        failed = judgement.status is Status.FAIL
        alarms.add(judgement, range(start, stop))
        if stop <= begins:
            before.add(failed)
            alarms_before = alarms.alarms
            continue
        waited = (stop - begins) / fps
        if failed and first is None:
            first, cause = waited, str(judgement.cause)
        if alarms.confirmed and confirmed is None:
            confirmed = waited
    return Outcome(before, alarms_before, first, confirmed, cause, max(0, until - begins) / fps, frames / fps)


def report(outcomes: dict[str, Outcome], films: dict[str, Film]) -> Iterator[str]:
    """Yield the lines of the table, as Markdown."""
    yield "| film | windows before that FAIL | alarms before | first FAIL | confirmed | cause | judged | a window |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, row in outcomes.items():
        tampered = films[name].begins is not None
        found = [_seconds(row.first), _seconds(row.confirmed), row.cause or "-", f"{row.judged:.1f} s"]
        cells = " | ".join(found if tampered else ["no tampering", "-", "-", "-"])
        yield f"| {name} | {row.before} | {row.alarms_before} | {cells} | {row.window:.2f} s |"
    yield f"| all | {total(row.before for row in outcomes.values())} | | | | | | |"


def _seconds(waited: float | None) -> str:
    return "never" if waited is None else f"{waited:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the films")
    parser.add_argument("--begins", type=Path, required=True, help="CSV file that says when the tampering begins")
    chosen = parser.parse_args()
    settings = Settings()
    try:
        films = {film.path.name: film for film in read_films(chosen.begins, chosen.data)}
        extractor = load_extractor(settings, VIDEO, None)
    except SentinelError as error:
        sys.exit(str(error))
    outcomes = {}
    for name, film in films.items():
        try:
            outcomes[name] = measure(film, extractor, settings)
        except SentinelError as error:
            print(f"{name} left out: {error}", file=sys.stderr, flush=True)
    if not outcomes:
        sys.exit(f"{chosen.begins} lists no film that could be judged")
    print(machine())
    print("\n".join(report(outcomes, films)))


if __name__ == "__main__":
    main()

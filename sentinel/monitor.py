"""The one-shot as its container runs it: mounted folders in, `status.json` out, whoever owns them.

    mounted or built in             judged by
    BASELINE/baseline.json          that baseline
    GOLDEN/ with footage in it      a baseline that is learned from it, for this run
    BAKED/                          SENTINEL_BASELINE of those in it, or the only one

A container engine makes a mounted folder that is missing as root, and users mount folders of their own. So where this
process is root, it judges as the owner of the footage (as user 10001 where that is root), and writes the status as the
owner of the folder that it goes into. What is foreign is only ever decoded by the judging process. Started as another
user it changes nobody, and says how a folder that it cannot write into could be given to it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import SentinelError
from common.printable import encodable
from common.whole_files import write_whole
from sentinel.failure import Failure

STATUS_FILE = "status.json"
_NO_VERDICT = 3
_NOBODY_ELSE = (10001, 10001)  # user and group of the image


@dataclass(frozen=True)
class Places:
    """Where the container has what.

    Attributes
    ----------
    footage : mounted, what is judged
    status : mounted, the folder that status.json is written into
    baseline : a baseline may be mounted here
    golden : golden footage may be mounted here
    baked : baselines, or one baseline, that were built into the image
    """

    footage: Path
    status: Path
    baseline: Path
    golden: Path
    baked: Path


class NoVerdict(SentinelError):
    """There is nothing to judge by, or nowhere to write to."""


def monitor(places: Places) -> int:
    """Judge the footage, write status.json, print it; return the exit code of `sentinel check`.

    Every end leaves a status, but for one that cannot be written; that is found out before the work begins.
    """
    writer = _owner(places.status)
    try:
        _require_writable(places.status, writer)
    except NoVerdict as error:
        return _failed(error)
    judge = _owner(places.footage)
    try:
        words = judged_by(places)
        code, document = _run([*words, str(places.footage)], None if judge is None else _unprivileged(judge))
    except (NoVerdict, OSError) as error:
        why = error if isinstance(error, NoVerdict) else NoVerdict(_why_not_judged(error))
        code = _failed(why)
        _write(places.status, writer, _document(why))
        return code
    sys.stdout.write(document)
    sys.stdout.flush()
    try:
        _write(places.status, writer, document)
    except OSError as error:  # the folder was taken away meanwhile
        sys.stderr.write(f"{STATUS_FILE} cannot be written to {places.status} any more: {error.strerror}\n")
        return _NO_VERDICT
    return code


def judged_by(places: Places) -> list[str]:
    """Return the options of `sentinel check` that name the baseline.

    Raises
    ------
    NoVerdict
        If none is mounted or built in, or several are built in and none is named.
    """
    if (places.baseline / "baseline.json").is_file():
        return ["--baseline", str(places.baseline)]
    if places.golden.is_dir() and any(places.golden.iterdir()):
        return ["--golden", str(places.golden)]
    if (places.baked / "baseline.json").is_file():
        return ["--baseline", str(places.baked)]
    names = sorted(path.parent.name for path in places.baked.glob("*/baseline.json"))
    named = os.environ.get("SENTINEL_BASELINE")
    if named:
        return ["--baseline", str(places.baked / named) if named in names else named]
    if len(names) == 1:
        return ["--baseline", str(places.baked / names[0])]
    found = f"this image holds {', '.join(names)}: name one with -e SENTINEL_BASELINE=NAME" if names else (
        "there is no baseline to judge by: mount one (-v \"$(pwd)/baselines/NAME:/app/baseline:ro\"), or golden "
        "footage to learn from (-v \"$(pwd)/golden:/app/golden:ro\"), or build one in "
        "(docker build --build-arg BASELINE=baselines/NAME)"
    )  # fmt: skip
    raise NoVerdict(found)


def _owner(folder: Path) -> tuple[int, int] | None:
    """Return user and group of `folder` if this process may act for them; None: it acts as itself."""
    if os.geteuid() != 0:
        return None
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_uid, found.st_gid


def _unprivileged(owner: tuple[int, int]) -> tuple[int, int]:
    return _NOBODY_ELSE if owner[0] == 0 else owner


def _require_writable(folder: Path, writer: tuple[int, int] | None) -> None:
    try:
        with _acting_as(writer):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise NoVerdict(_why_not_writable(folder, error)) from error


def _why_not_judged(error: OSError) -> str:
    if error.filename is None or error.filename == sys.executable:
        return (
            f"the judging process cannot be started as another user ({error.strerror}): leave the container the rights "
            'SETUID and SETGID, or run it with --user "$(id -u):$(id -g)"'
        )
    return f"{error.filename} cannot be read ({error.strerror}): change its permissions, or mount another"


def _why_not_writable(folder: Path, error: OSError) -> str:
    why = f"{STATUS_FILE} cannot be written to {folder} ({error.strerror}): "
    if os.geteuid() == 0:
        return why + (
            "mount a folder that can be written there, without :ro; where rights were taken from the container, "
            'run it with --user "$(id -u):$(id -g)"'
        )
    owner = folder.stat().st_uid if folder.exists() else "nobody"
    return why + (
        f"it belongs to user {owner}, and this is user {os.geteuid()}. Leave --user out, so that the folder's owner is "
        'found; or make the folder first and run with --user "$(id -u):$(id -g)"'
    )


@contextmanager
def _acting_as(owner: tuple[int, int] | None) -> Iterator[None]:
    """Act on files as `owner` while the block runs."""
    if owner is None or owner[0] == 0:
        yield
        return
    user, group = os.geteuid(), os.getegid()
    os.setegid(owner[1])
    os.seteuid(owner[0])
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)


def _write(folder: Path, writer: tuple[int, int] | None, document: str) -> None:
    """Write status.json, whole or not at all."""
    with _acting_as(writer):
        write_whole(folder / STATUS_FILE, document.encode())


def _run(words: Sequence[str], judge: tuple[int, int] | None) -> tuple[int, str]:
    """Return exit code and output of `sentinel check`, which is told to stop when this process is."""
    user, group = judge or (None, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "sentinel", "check", *words, "--json"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        user=user,
        group=group,
        extra_groups=None if judge is None else [],
        text=True,
        encoding="utf-8",
    )
    told: list[int] = []

    def stop(number: int, _: object) -> None:
        told.append(number)
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    document, _ = process.communicate()
    if document.strip():
        return process.returncode, document
    ended = f"signal {-process.returncode}" if process.returncode < 0 else f"code {process.returncode}"
    why = "it was told to stop before there was a verdict" if told else (
        f"the judging process ended with {ended} and said nothing: it may have had too little memory"
    )  # fmt: skip
    return _NO_VERDICT, _document(NoVerdict(why))


def _failed(error: NoVerdict) -> int:
    """Print why there is no verdict; return the exit code."""
    sys.stdout.write(_document(error))
    sys.stderr.write(f"{error}\n")
    return _NO_VERDICT


def _document(error: NoVerdict) -> str:
    return Failure(error=type(error).__name__, message=encodable(str(error))).to_json() + "\n"

"""How long a stream's silence may last before its camera counts as offline: learned from the gaps between its batches.

A gap is the time from one accepted batch to the next, by the wall clock. A camera at
one frame a second has gaps of a second; a folder that is filled by day has short
gaps, and a long one each night.
"""

from __future__ import annotations

from collections.abc import Iterable

FEWEST_GAPS = 6
"""With fewer usual gaps nothing is known of a rhythm, and no silence is unusual."""

LEARNING = 30.0
"""The usual gaps must cover this many times the shortest silence that counts (an hour, with SENTINEL_OFFLINE_SECONDS of
two minutes). Files that somebody drops all at once are no rhythm."""

TIMES = 3.0
"""A silence may last this many times the usual gap: a rhythm that jitters by a factor of two stays below it, also where
the few gaps that were seen are its shortest ones."""

SHARE = 0.95
"""Of the time, not of the gaps: a night counts by its hours, however many frames come by day. So a pause is usual if it
takes more than a twentieth of the time, like 72 minutes a day."""


def longest_silence(gaps: Iterable[tuple[float, int]], offline_seconds: float) -> float | None:
    """Return how long a stream may be silent before it counts as offline, in seconds; None: nothing is known of it yet.

    The usual gap is the one that at most `SHARE` of the time lies in gaps shorter than. The
    longest gap is left out: once may have been an outage, and what was usual must not
    be what the next outage is measured by. A night is usual once two were seen.

    Parameters
    ----------
    gaps : length of a gap in seconds, and how often there was one, in any order
    offline_seconds : the shortest silence that counts, in seconds
    """
    usual = sorted((length, count) for length, count in gaps if count > 0)
    if not usual:
        return None
    longest, often = usual.pop()
    if often > 1:
        usual.append((longest, often - 1))
    covered = sum(length * count for length, count in usual)
    if sum(count for _, count in usual) < FEWEST_GAPS or covered < LEARNING * offline_seconds:
        return None
    below, at = 0.0, 0.0
    for length, count in usual:
        at, below = length, below + length * count
        if below >= SHARE * covered:
            break
    return max(offline_seconds, TIMES * at)

"""Doubt: whether a stream's latest verdict calls for a closer look."""

from __future__ import annotations

from common.contracts.verdicts import Status, Verdict


def is_in_doubt(verdict: Verdict, score: float) -> bool:
    """Return whether more frames could change what is known of a stream.

    They could not once it is decided: nothing departs from golden, or what does is confirmed.

    Parameters
    ----------
    score : the drift score above which a window that passes is suspicious
    """
    if verdict.confirmed:
        return False
    departs = verdict.status is Status.FAIL or verdict.condition is not None
    not_judged = verdict.spacing.score if verdict.spacing is not None else 0.0
    return departs or verdict.provisional or max(verdict.drift_score, not_judged) > score

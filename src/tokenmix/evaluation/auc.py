"""Area under the ROC curve for many weightings of the same scores."""

import numpy as np


class RankedScores:
    """One column of scores, ranked once; `area` then costs additions only.

    The area is the share of pairs (a case of the class, a case of the rest) in which the case of the class
    scores higher, ties counting one half (Mann-Whitney). With the rest sorted by score, each case of the
    class needs the weight of the rest below it and the weight of the rest at or below it. Only the places
    where cases of the class fall cut the sorted rest into segments, so weights are summed by segment.
    """

    def __init__(self, scores: np.ndarray, positive: np.ndarray) -> None:
        """`scores` (N,), `positive` (N,) bool: which cases belong to the class."""
        self._positive = np.flatnonzero(positive)
        rest = np.flatnonzero(~positive)
        order = np.argsort(scores[rest], kind="stable")
        self._rest = rest[order]
        sorted_rest = scores[self._rest]
        below = np.searchsorted(sorted_rest, scores[self._positive], side="left")
        at_or_below = np.searchsorted(sorted_rest, scores[self._positive], side="right")
        cuts = np.unique(np.concatenate([[0], below, at_or_below]))
        self._below = np.searchsorted(cuts, below)
        self._at_or_below = np.searchsorted(cuts, at_or_below)
        self._ties = bool((below != at_or_below).any())
        # the segment that starts at len(rest) is empty, and reduceat would refuse it
        self._starts = cuts[cuts < len(rest)]

    def area(self, weights: np.ndarray) -> np.ndarray:
        """Areas (B,) for float32 weights (N, B); NaN where the class or the rest weighs nothing."""
        drawn = weights[self._positive]
        size = drawn.sum(axis=0, dtype=np.float64)
        cumulated = np.zeros((len(self._starts) + 1, weights.shape[1]), dtype=np.float32)
        if len(self._starts):
            segments = np.add.reduceat(weights[self._rest], self._starts, axis=0)
            np.cumsum(segments, axis=0, out=cumulated[1:])
        rest = cumulated[-1].astype(np.float64)
        pairs = _weighted_sum(drawn, cumulated[self._below])
        if self._ties:
            pairs = (pairs + _weighted_sum(drawn, cumulated[self._at_or_below])) / 2
        result = np.full(weights.shape[1], np.nan)
        np.divide(pairs, size * rest, out=result, where=size * rest > 0)
        return result


def _weighted_sum(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("nb,nb->b", first, second, dtype=np.float64, casting="safe")

"""Bootstrap over cases with shared resamples, so that runs of one data set are compared case by case."""

from collections.abc import Iterator, Mapping

import numpy as np

from tokenmix.evaluation.metrics import Scorer

#: resamples handled at once: enough for long vector operations, few enough that 50,000 cases need 150 MB
BLOCK = 128


def resampled_weights(cases: int, number: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks (cases, up to BLOCK) of float32 counts: column b says how often each case is in resample b.

    Each resample draws `cases` cases with replacement. The same arguments give the same resamples.
    """
    generator = np.random.default_rng(seed)
    for start in range(0, number, BLOCK):
        columns = min(BLOCK, number - start)
        drawn = generator.integers(cases, size=(columns, cases))
        drawn *= columns
        drawn += np.arange(columns)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=cases * columns)
        yield counts.reshape(cases, columns).astype(np.float32)


def bootstrap(scorers: Mapping[str, Scorer], cases: int, number: int, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Metrics of each scorer in each resample: {name: {metric: (number,)}}, paired across scorers."""
    parts: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in scorers}
    for weights in resampled_weights(cases, number, seed):
        for name, scorer in scorers.items():
            for metric, values in scorer(weights).items():
                parts[name].setdefault(metric, []).append(values)
    return {
        name: {metric: np.concatenate(blocks) for metric, blocks in metrics.items()} for name, metrics in parts.items()
    }


def point_estimates(scorer: Scorer, cases: int) -> dict[str, float]:
    """The metrics of the cases as they are."""
    return {metric: float(value[0]) for metric, value in scorer(np.ones((cases, 1), np.float32)).items()}


def interval(values: np.ndarray, level: float) -> tuple[float, float]:
    """Percentile interval of resampled values; resamples in which the metric is not defined are left out."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

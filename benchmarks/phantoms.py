"""Are the phantoms a fair test? Logistic regression on pixels against the mixers, three seeds each.

    python -m benchmarks.phantoms [--seeds 3] [--mixers identity,pooling3,...] [--iterations 192]

Prints test accuracy (classes are even: balanced accuracy) with 95 % t-intervals over seeds, then three
verdicts: the distance of logistic regression from the best mixer (at least 0.15), the pairs of mixers whose
intervals are disjoint (some in each family), and which of these pairs the other family orders the other way round
(some). Exit code 1 where one of them is not as asked. A plain loop, so that it judges the data and not the training
engine, with the models and settings of the demonstration, but twice as long: at its length some seeds have not
learned yet. Half an hour on two cores, one for each family.
"""

import argparse
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression

from tokenmix.data.batches import DeviceSplit, normalise, open_prepared
from tokenmix.data.card import Facts
from tokenmix.data.phantoms import FAMILIES
from tokenmix.data.publish import publish
from tokenmix.models.build import build_model
from tokenmix.study.load import load_config
from tokenmix.study.manifest import load_manifest
from tokenmix.study.options import options_of
from tokenmix.study.protocol import Training

#: asked: how far logistic regression stays behind the best mixer
BEHIND = 0.15
DEMO = load_config(Path(__file__).parents[1], overrides={"study": "demo"})
ITERATIONS = 2 * DEMO.training.iterations
MIXERS = "pooling3,conv3,sep_conv3,local_attn3,full_attn,identity,random,random_learned"

Tensors = tuple[torch.Tensor, torch.Tensor]


def load(family: str, folder: Path) -> dict[str, Tensors]:
    """Normalised images and labels of train and test."""
    entry = load_manifest()[family]
    facts = Facts(
        name=family,
        size=28,
        title=entry.title,
        task=entry.task,
        classes=tuple(entry.classes),
        channels=entry.channels,
        dimensions=2,
        splits=entry.splits.model_dump(),
        licence=entry.licence,
    )
    publish("phantom", None, facts, folder / family)
    data = open_prepared(folder / family)
    splits = {}
    for name in ("train", "test"):
        split = DeviceSplit(data, name, "cpu")
        x, y = split.batch(torch.arange(len(split)))
        splits[name] = normalise(x, data.card), y
    return splits


def linear(data: dict[str, Tensors]) -> float:
    """Test accuracy of logistic regression on pixels; generously, penalty chosen on the test split."""
    (x, y), (x_test, y_test) = ((x.flatten(1).numpy(), y.numpy()) for x, y in data.values())
    penalties = (1e-5, 1e-4, 1e-3, 1e-2)
    return max(LogisticRegression(C=c, max_iter=200).fit(x, y).score(x_test, y_test) for c in penalties)


def train(mixer: str, data: dict[str, Tensors], seed: int, settings: Training) -> float:
    """Test accuracy of `xs-tttt-<mixer>` after a short training."""
    torch.manual_seed(seed)
    x, y = data["train"]
    name = f"xs-tttt-{mixer}"
    options = options_of(name, "scratch", DEMO.model.model_dump())
    model = build_model(name, channels=x.shape[1], classes=4, size=28, options=options)
    model = model.to(memory_format=torch.channels_last)
    batch, warm_up = settings.batch_size, settings.warmup_epochs * (len(x) // settings.batch_size)
    optimiser = torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=settings.weight_decay, fused=True)
    warm = torch.optim.lr_scheduler.LinearLR(optimiser, settings.warmup_lr / settings.lr, total_iters=warm_up)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.iterations - warm_up, settings.min_lr)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [warm, cosine], [warm_up])
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(settings.iterations):
        if len(order) < batch:
            order = torch.randperm(len(x))
        index, order = order[:batch], order[batch:]
        matrix = torch.eye(2, 3) + settings.affine_std * torch.randn(batch, 2, 3)
        grid = torch.nn.functional.affine_grid(matrix, [batch, *x.shape[1:]], align_corners=False)
        image = torch.nn.functional.grid_sample(x[index], grid, align_corners=False)
        image = image.contiguous(memory_format=torch.channels_last)
        loss = torch.nn.functional.cross_entropy(model(image), y[index], label_smoothing=settings.label_smoothing)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        return (model(data["test"][0]).argmax(1) == data["test"][1]).double().mean().item()


def measure(
    family: str, mixers: list[str], seeds: int, settings: Training
) -> tuple[float, dict[str, tuple[float, float, float]], dict[str, float]]:
    """Of one family: accuracy of logistic regression, of each mixer with its interval, and seconds of a run."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = load(family, Path(folder))
    results, seconds = {}, {}
    for mixer in mixers:
        start = time.process_time()
        results[mixer] = interval([train(mixer, data, seed, settings) for seed in range(seeds)])
        seconds[mixer] = (time.process_time() - start) / seeds
    return linear(data), results, seconds


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and 95 % t-interval."""
    mean, n = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5) if n > 1 else float("nan")
    return mean, mean - half, mean + half


def main() -> int:
    """Measure and judge; exit code 1 where the test is not fair."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mixers", default=MIXERS)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    arguments = parser.parse_args()
    settings = DEMO.training.model_copy(update={"iterations": arguments.iterations})
    mixers = arguments.mixers.split(",")
    with ProcessPoolExecutor(len(FAMILIES)) as pool:
        measuring = {name: pool.submit(measure, name, mixers, arguments.seeds, settings) for name in FAMILIES}
    rankings: dict[str, list[str]] = {}
    apart: dict[str, list[tuple[str, str]]] = {}
    fair = True
    for family in FAMILIES:
        base, results, seconds = measuring[family].result()
        print(f"{family}\n  logistic regression  {base:.3f}")
        for mixer, (mean, low, high) in results.items():
            print(f"  {mixer:20s} {mean:.3f} [{low:.3f}, {high:.3f}]  {seconds[mixer]:.1f} s a run")
        order = sorted(results, key=lambda name: -results[name][0])
        rankings[family] = order
        apart[family] = [(a, b) for a, b in combinations(order, 2) if results[a][1] > results[b][2]]
        behind = results[order[0]][0] - base
        fair &= behind >= BEHIND and bool(apart[family])
        print(f"  best mixer minus logistic regression: {behind:.3f} (at least {BEHIND})")
        print(f"  disjoint intervals: {shown(apart[family])}")
    print("order: " + "; ".join(f"{family}: {' > '.join(order)}" for family, order in rankings.items()))
    turned = [
        (a, b)
        for family, pairs in apart.items()
        for a, b in pairs
        if any(order.index(b) < order.index(a) for other, order in rankings.items() if other != family)
    ]
    print(f"disjoint in one family and the other way round in the other: {shown(turned)}")
    return int(not (fair and turned))


def shown(pairs: list[tuple[str, str]]) -> str:
    """Pairs of mixers in words, the better one first."""
    return ", ".join(f"{a} > {b}" for a, b in pairs) or "none"


if __name__ == "__main__":
    sys.exit(main())

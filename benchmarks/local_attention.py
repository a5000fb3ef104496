"""Local attention, forward and backward, against four ways to write it in PyTorch, on the CPU.

    python -m benchmarks.local_attention

Prints milliseconds at each shape and how many times as fast as the best peer ours is (at least 1 is asked).
The peers are timed in turn with ours, so that other load on the machine hits all alike; medians are shown. The
compiled peer needs a C++ compiler and takes minutes to compile; without one it is left out.
"""

import os
import statistics
import time
from collections.abc import Callable

# as in a training job: threads that wait do not take the core from those that work
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor
from torch.nn import functional as F

from tokenmix.models.attention.op import local_attention

#: side of the map, channels, batch, kernel
SHAPES = (
    (56, 64, 4, 3),
    (56, 64, 4, 7),
    (28, 128, 8, 3),
    (28, 128, 8, 7),
    (14, 320, 16, 3),
    (14, 320, 16, 7),
    (7, 64, 64, 7),
)
HEAD_DIM = 16
ROUNDS = 7


def _heads_first(qkv: Tensor) -> tuple[Tensor, ...]:
    """(B, H, W, 3, heads, D) -> three of (B, heads, H, W, D)."""
    return qkv.permute(3, 0, 4, 1, 2, 5).unbind()


def unfold(qkv: Tensor, kernel: int) -> Tensor:
    """Keys and values of all neighbourhoods, copied side by side."""
    batch, side, _, _, heads, depth = qkv.shape
    q, k, v = _heads_first(qkv)

    def neighbours(x: Tensor) -> Tensor:
        maps = x.permute(0, 1, 4, 2, 3).reshape(batch * heads, depth, side, side)
        return F.unfold(maps, kernel, padding=kernel // 2).view(batch, heads, depth, kernel**2, side**2)

    outside = F.unfold(torch.ones(1, 1, side, side), kernel, padding=kernel // 2) == 0
    scores = torch.einsum("bhnd,bhdkn->bhkn", q.flatten(2, 3) * depth**-0.5, neighbours(k))
    weights = scores.masked_fill(outside[0], -torch.inf).softmax(2)
    out = torch.einsum("bhkn,bhdkn->bhnd", weights, neighbours(v))
    return out.unflatten(2, (side, side)).permute(0, 2, 3, 1, 4)


def _near(queries: Tensor, keys: Tensor, kernel: int) -> Tensor:
    return (queries[:, None] - keys).abs().amax(-1) <= kernel // 2


def dense_sdpa(qkv: Tensor, kernel: int) -> Tensor:
    """All pairs of tokens, masked."""
    side = qkv.shape[1]
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side))
    q, k, v = (part.flatten(2, 3) for part in _heads_first(qkv))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=_near(places, places, kernel))
    return out.unflatten(2, (side, side)).permute(0, 2, 3, 1, 4)


def banded_sdpa(qkv: Tensor, kernel: int, band: int = 4) -> Tensor:
    """Bands of query rows, each against the key rows it can see."""
    side, reach = qkv.shape[1], kernel // 2
    columns = torch.arange(side)
    q, k, v = _heads_first(qkv)
    bands = []
    for top in range(0, side, band):
        rows = torch.arange(top, min(top + band, side))
        key_rows = torch.arange(max(0, top - reach), min(side, top + band + reach))
        seen = _near(torch.cartesian_prod(rows, columns), torch.cartesian_prod(key_rows, columns), kernel)
        first, last = int(key_rows[0]), int(key_rows[-1]) + 1
        out = F.scaled_dot_product_attention(
            q[:, :, top : top + band].flatten(2, 3),
            k[:, :, first:last].flatten(2, 3),
            v[:, :, first:last].flatten(2, 3),
            attn_mask=seen,
        )
        bands.append(out.unflatten(2, (len(rows), side)))
    return torch.cat(bands, 2).permute(0, 2, 3, 1, 4)


def shifted_sums(qkv: Tensor, kernel: int) -> Tensor:
    """One product of whole maps for each offset."""
    side, reach = qkv.shape[1], kernel // 2
    q, k, v = _heads_first(qkv)
    k, v = (F.pad(part, (0, 0, reach, reach, reach, reach)) for part in (k, v))
    inside = F.pad(torch.zeros(side, side), (reach,) * 4, value=-torch.inf)
    windows = [(slice(y, y + side), slice(x, x + side)) for y in range(kernel) for x in range(kernel)]
    q = q * q.shape[-1] ** -0.5
    scores = torch.stack([(q * k[:, :, y, x]).sum(-1) + inside[y, x] for y, x in windows])
    weights = scores.softmax(0)
    out = sum(weight[..., None] * v[:, :, y, x] for weight, (y, x) in zip(weights, windows, strict=True))
    return out.permute(0, 2, 3, 1, 4)


def milliseconds(way: Callable[[Tensor, int], Tensor], qkv: Tensor, gradient: Tensor, kernel: int) -> float:
    """One forward and backward pass."""
    qkv.grad = None
    start = time.perf_counter()
    way(qkv, kernel).backward(gradient)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    print(f"{torch.get_num_threads()} threads, float32, head dimension {HEAD_DIM}; milliseconds, medians")
    slowest = torch.inf
    for side, channels, batch, kernel in SHAPES:
        torch.manual_seed(0)
        torch.compiler.reset()
        qkv = torch.randn(batch, side, side, 3, channels // HEAD_DIM, HEAD_DIM, requires_grad=True)
        gradient = torch.randn(batch, side, side, channels // HEAD_DIM, HEAD_DIM)
        ways = {
            "ours": local_attention,
            "unfold": unfold,
            "dense": dense_sdpa,
            "banded": banded_sdpa,
            "shifted": torch.compile(shifted_sums, dynamic=False),
        }
        times: dict[str, list[float]] = {}
        for name, way in list(ways.items()):
            try:
                out = way(qkv, kernel)
                out.backward(gradient)
            except torch._inductor.exc.InductorError:
                del ways[name]
                continue
            assert torch.allclose(out, local_attention(qkv, kernel), atol=1e-4), name
        for _ in range(ROUNDS):
            for name, way in ways.items():
                times.setdefault(name, []).append(milliseconds(way, qkv, gradient, kernel))
        median = {name: statistics.median(values) for name, values in times.items()}
        best = min((name for name in median if name != "ours"), key=median.__getitem__)
        ratio = median[best] / median["ours"]
        slowest = min(slowest, ratio)
        shape = f"{side}x{side}, {channels} channels, batch {batch}, kernel {kernel}"
        figures = "  ".join(f"{name} {value:.1f}" for name, value in median.items())
        print(f"{shape:42}  {figures}  | {ratio:.1f} times as fast as {best}", flush=True)
    print(f"least: {slowest:.2f} times as fast as the best of the others (asked: 1)")


if __name__ == "__main__":
    main()

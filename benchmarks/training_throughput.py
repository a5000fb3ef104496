"""Images a second in training on 28 x 28 colour images, batch 128: ours against timm's PoolFormer and a DataLoader.

    python -m benchmarks.training_throughput

On the CPU with S12, the loops take turns, A B C A B C, on the same random images and with the same AdamW settings:

- ours: `s12-tttt-pooling3` as the training engine runs it: images in memory, fused AdamW, channels last;
- timm: `poolformer_s12` in the same plain loop (ours is asked to be 1.7 times as fast);
- loader: timm's model fed by a DataLoader with torchvision's transforms (2 times is asked);
- ours, affine and loader, affine: the same two with the random affine map that the study trains with.

First both models train from the same weights without drop path: their losses must agree. The last line says
how fast a step would be that did nothing but its matrix products: no loop in float32 can be faster.

On a GPU, where there is one, `xs-tttt-pooling3` in bf16 with images, affine map and batches on the device, as the
training engine has them, against the same model and optimiser fed by the DataLoader in this process (10 times is
asked).
"""

import statistics
import time
from collections.abc import Callable, Iterator

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from tokenmix.models.build import build_model
from tokenmix.models.weights import from_timm
from tokenmix.training.augment import random_affine

Step = Callable[[Tensor, Tensor], Tensor]

BATCH, CLASSES, SIZE = 128, 9, 28
ROUNDS, STEPS = 5, 3
IMAGES = 2048


class Samples(Dataset):
    """Images as arrays of bytes, transformed one by one as torchvision's pipelines do."""

    def __init__(self, images_NHWC: Tensor, labels_N: Tensor, affine: bool) -> None:
        self.images, self.labels = images_NHWC.numpy(), labels_N
        steps = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
        if affine:
            shift = transforms.RandomAffine(
                6, (0.1, 0.1), (0.9, 1.1), 6, interpolation=transforms.InterpolationMode.BILINEAR
            )
            steps.insert(1, shift)
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])


def in_memory(images_NHWC: Tensor, labels_N: Tensor, affine: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Random batches for ever: bytes to normalised floats, the whole batch at once."""
    device = labels_N.device
    chance = torch.Generator(device)
    while True:
        for index in torch.randperm(len(labels_N), device=device).split(BATCH):
            images = images_NHWC[index].permute(0, 3, 1, 2).float().div_(255)
            if affine:
                images = random_affine(images, 0.1, chance)
            yield images.sub_(0.5).div_(0.25), labels_N[index]


def from_loader(images_NHWC: Tensor, labels_N: Tensor, affine: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """The same from a DataLoader in this process."""
    loader = DataLoader(Samples(images_NHWC, labels_N, affine), batch_size=BATCH, shuffle=True)
    while True:
        yield from loader


def trainer(model: nn.Module, *, fused: bool, device: str = "cpu", half: bool = False) -> Step:
    """A function that does one step and returns the loss; waits for no device."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=fused)
    model.train()

    def step(images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            logits = model(images.to(device)).float()
        loss = F.cross_entropy(logits, labels.to(device), label_smoothing=0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def pair(drop_path: float) -> tuple[nn.Module, nn.Module]:
    """Ours and timm's model with the same weights."""
    theirs = timm.create_model("poolformer_s12", num_classes=CLASSES)
    for block in (block for stage in theirs.stages for block in stage.blocks):
        if drop_path:
            block.drop_path1, block.drop_path2 = (timm.layers.DropPath(drop_path) for _ in range(2))
    options = {"drop_path": drop_path, "pool_first": True}
    ours = build_model("s12-tttt-pooling3", channels=3, classes=CLASSES, size=SIZE, options=options)
    ours.load_state_dict(from_timm(theirs.state_dict()))
    return ours.to(memory_format=torch.channels_last), theirs


def main() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (IMAGES,))

    batches = in_memory(images, labels)
    ours, theirs = (trainer(model, fused=fused) for model, fused in zip(pair(0.0), (True, False), strict=True))
    for number in range(1, 6):
        batch = next(batches)
        losses = ours(*batch).item(), theirs(*batch).item()
        print(f"loss of step {number}: ours {losses[0]:.6f}, timm {losses[1]:.6f}")
        assert abs(losses[0] - losses[1]) < 1e-4, "the losses differ"

    for threads in (1, torch.get_num_threads()):
        torch.set_num_threads(threads)
        compare(images, labels)
    if torch.cuda.is_available():
        print(torch.cuda.get_device_name())
        compare_small(images, labels, "cuda", steps=50)
    else:
        print("no CUDA device: xs on the device against the DataLoader is not measured")


def compare(images: Tensor, labels: Tensor) -> None:
    """Run the loops in turns and print their speeds."""
    our_model, their_model = pair(0.1)
    our_step, their_step = trainer(our_model, fused=True), trainer(their_model, fused=False)
    loops = {
        "ours": (our_step, in_memory(images, labels)),
        "timm": (their_step, in_memory(images, labels)),
        "loader": (their_step, from_loader(images, labels)),
        "ours, affine": (our_step, in_memory(images, labels, affine=True)),
        "loader, affine": (their_step, from_loader(images, labels, affine=True)),
    }
    median = take_turns(loops, STEPS)
    print(f"{torch.get_num_threads()} threads, images a second, medians of {ROUNDS} rounds:")
    for name, peer, asked in (
        ("ours", None, 0),
        ("timm", "ours", 1.7),
        ("loader", "ours", 2.0),
        ("ours, affine", None, 0),
        ("loader, affine", "ours, affine", 2.0),
    ):
        ratio = f"; ours is {median[peer] / median[name]:.2f} times as fast (asked: {asked})" if peer else ""
        print(f"  {name:15} {median[name]:6.0f}{ratio}")
    print(f"  {'products alone':15} {products_alone(our_step, next(loops['ours'][1])):6.0f}")


def compare_small(images: Tensor, labels: Tensor, device: str, steps: int) -> None:
    """`xs` with everything on the device against the same model fed by the DataLoader."""
    models = [
        build_model("xs-tttt-pooling3", channels=3, classes=CLASSES, size=SIZE, options={"drop_path": 0.1})
        .to(device)
        .to(memory_format=torch.channels_last)
        for _ in range(2)
    ]
    ours, theirs = (trainer(model, fused=True, device=device, half=True) for model in models)
    loops = {
        "xs, on the device": (ours, in_memory(images.to(device), labels.to(device), affine=True)),
        "xs, loader": (theirs, from_loader(images, labels, affine=True)),
    }
    median = take_turns(loops, steps)
    ratio = median["xs, on the device"] / median["xs, loader"]
    for name, speed in median.items():
        print(f"  {name:17} {speed:6.0f} images a second")
    print(f"  on the device it is {ratio:.1f} times as fast (asked: 10)")


def take_turns(loops: dict[str, tuple[Step, Iterator[tuple[Tensor, Tensor]]]], steps: int) -> dict[str, float]:
    """Images a second of each loop, medians of `ROUNDS` rounds of so many steps."""
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(ROUNDS + 1):
        for name, (step, source) in loops.items():
            start = time.perf_counter()
            for _ in range(steps):
                loss = step(*next(source))
            loss.item()  # waits for the device
            speeds[name].append(steps * BATCH / (time.perf_counter() - start))
    # the first round warms up
    return {name: statistics.median(values[1:]) for name, values in speeds.items()}


def products_alone(step: Step, batch: tuple[Tensor, Tensor]) -> float:
    """Images a second if a step of ours took no longer than its linear layers and convolutions."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(STEPS):
            step(*batch)
    wanted = ("mkldnn::_linear_pointwise", "aten::mm", "aten::addmm", "aten::convolution_backward")
    wanted += ("aten::mkldnn_convolution",)
    spent = sum(event.self_cpu_time_total for event in profile.key_averages() if event.key in wanted)
    return STEPS * BATCH / (spent / 1e6)


if __name__ == "__main__":
    main()

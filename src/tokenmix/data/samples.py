"""A picture of a few training images of each class, so that a reader sees what a data set looks like."""

import io
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tokenmix.files import read_json, write_atomic

PER_CLASS = 8
TILE, GAP, LABEL_WIDTH = 64, 4, 150
#: a case is searched for among the first ones only, so that no large array is read through
SEARCH = 20_000


def write_samples(folder: Path) -> None:
    """Write `samples.png` into a prepared folder: one row per class, the first training images of it.

    Volumes show their middle slice; in a multi-label task a row shows cases that have the label.
    """
    card = read_json(folder / "card.json")
    images = np.load(folder / "train_images.npy", mmap_mode="r", allow_pickle=False)
    labels = np.load(folder / "train_labels.npy", mmap_mode="r", allow_pickle=False)[:SEARCH]
    classes = card["classes"]
    width = LABEL_WIDTH + PER_CLASS * (TILE + GAP) + GAP
    sheet = Image.new("RGB", (width, len(classes) * (TILE + GAP) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    for row, name in enumerate(classes):
        top = GAP + row * (TILE + GAP)
        lines = textwrap.wrap(name, 24)[:4] or [name]
        draw.multiline_text((GAP, top + TILE // 2), "\n".join(lines), fill="black", font=font, anchor="lm")
        member = labels[:, row] == 1 if labels.ndim == 2 else labels == row
        for column, case in enumerate(np.flatnonzero(member)[:PER_CLASS]):
            place = (LABEL_WIDTH + column * (TILE + GAP), top)
            sheet.paste(_tile(images[case], card["dimensions"]), place)
    with io.BytesIO() as content:
        sheet.save(content, format="PNG")
        write_atomic(folder / "samples.png", content.getvalue())


def _tile(image: np.ndarray, dimensions: int) -> Image.Image:
    if dimensions == 3:
        image = image[len(image) // 2]
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return picture.convert("RGB").resize((TILE, TILE), Image.Resampling.BICUBIC)

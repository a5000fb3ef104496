"""One image file into a square uint8 array."""

import io

import numpy as np
from PIL import Image

#: the formats of the files that count as images; Pillow would also open some by starting other programs
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
#: images above this are refused: a small file can claim any size, and a narrow one grows when it is padded
MAXIMUM_PIXELS, MAXIMUM_SIDE = 200_000_000, 20_000
GREY_MODES = ("1", "L", "LA", "La", "I;16", "I;16L", "I;16B", "F")


class BrokenImage(Exception):
    """An image that cannot be used; the text says why."""


def open_image(data: bytes) -> Image.Image:
    """Read an image's header; raises BrokenImage."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:  # on broken bytes Pillow's readers raise whatever their own code runs into
        raise BrokenImage("not an image that can be read") from error
    if image.width * image.height > MAXIMUM_PIXELS or max(image.size) > MAXIMUM_SIDE:
        raise BrokenImage(f"{image.width} x {image.height} pixels, which is too large")
    return image


def is_grey(image: Image.Image) -> bool:
    """Whether the file stores one brightness a pixel."""
    return image.mode in GREY_MODES


def square_pixels(data: bytes, size: int, channels: int, padding: str = "square") -> tuple[np.ndarray, bool]:
    """Decode, pad with zeros, resize (bilinear with antialiasing).

    padding: `square` on both sides of the shorter axis, so that nothing is distorted; `width` is a mistake of the
    published study (Keuth et al., arXiv 2510.05971, public code), whose amounts for width and height are taken as
    those for left and right: a tall image is padded on its left only, a wide one becomes wider still.
    Returns uint8 `(size, size, channels)`, and whether the file was grey. Transparent parts become black.
    Raises BrokenImage.
    """
    image = open_image(data)
    grey = is_grey(image)
    try:
        image.load()
        image = _to_mode(image, "L" if channels == 1 else "RGB")
    except BrokenImage:
        raise
    except Exception as error:  # as above
        raise BrokenImage(f"cannot be decoded ({error})") from error
    side = max(image.size)
    if image.size != (side, side):
        across, down = (side - image.width) // 2, (side - image.height) // 2
        shape = (side, side) if padding == "square" else (image.width + across + down, image.height)
        padded = Image.new(image.mode, shape)
        padded.paste(image, (across, down if padding == "square" else 0))
        image = padded
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    return pixels.reshape(size, size, channels), grey


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_eight_bits(image)
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        colour = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), colour)
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey keeps its upper 8 bits; floating-point grey is taken as [0, 1]."""
    values = np.asarray(image)
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise BrokenImage("holds NaN or infinite pixels")
        if values.min() < 0 or values.max() > 1:
            raise BrokenImage(
                f"floating-point pixels between {values.min():g} and {values.max():g}; scale them to [0, 1]"
            )
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if image.mode == "I":
        raise BrokenImage("32-bit integers, which have no fixed range; save it with 8 or 16 bits")
    return Image.fromarray((values >> 8).astype(np.uint8))

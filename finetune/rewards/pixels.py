"""Images to what the scorers' vision towers read, with Pillow and torch alone.

    centre_pixels(images, 224)      # [N, 3, 224, 224]: CLIP and ImageReward
    letterbox_pixels(images, 224)   # [N, 3, 224, 224]: HPS v2

torchvision's rounding is kept, because the models were trained and published with it;
tests/finetune/rewards/test_hps.py compares the two where torchvision is installed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from retrieval.errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

# of CLIP's training images; BLIP and HPS v2 use the same
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def check_pairs(prompts: Sequence[str], images: "Sequence[Image]") -> None:
    """Refuses what no scorer can score.

    Raises:
        InvalidInput: no image, not one prompt an image, an empty prompt, something that is no image.
    """
    from PIL import Image

    if not images:
        raise InvalidInput("there is no image to score; give at least one, with its prompt")
    if len(prompts) != len(images):
        raise InvalidInput(f"{len(prompts)} prompts and {len(images)} images; give one prompt an image")
    for place, (prompt, image) in enumerate(zip(prompts, images, strict=True)):
        if not prompt.strip():
            raise InvalidInput(f"prompt {place} is empty; an image is scored for the words it shall show")
        if not isinstance(image, Image.Image):
            raise InvalidInput(
                f"image {place} is of type {type(image).__name__}; needed is a PIL image, such as "
                "PIL.Image.open(path) gives"
            )
        if min(image.size) < 1:
            raise InvalidInput(f"image {place} has the size {image.width}x{image.height}; it shows nothing")


def centre_pixels(images: "Sequence[Image]", side: int) -> "Tensor":
    """[N, 3, side, side]: the shorter side resized (bicubic), the middle cut out, normalised."""
    return normalise(torch.stack([_tensor(_centre(image.convert("RGB"), side)) for image in images]))


def letterbox_pixels(images: "Sequence[Image]", side: int) -> "Tensor":
    """[N, 3, side, side]: the longer side resized (bicubic), black bars round it, normalised.

    The resizing is antialiased, as torchvision's is since 0.17.
    """
    return normalise(torch.stack([_letterbox(_tensor(image.convert("RGB")), side) for image in images]))


def normalise(pixels: "Tensor") -> "Tensor":
    """[N, 3, H, W] in [0, 1] less the mean, by the standard deviation, of each colour."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


def _tensor(image: "Image") -> "Tensor":
    """[3, H, W] float32 in [0, 1]."""
    import numpy as np

    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float() / 255


def _centre(image: "Image", side: int) -> "Image":
    from PIL import Image

    width, height = image.size
    shorter, longer = side, int(side * max(width, height) / min(width, height))
    size = (shorter, longer) if width <= height else (longer, shorter)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (round((length - side) / 2.0) for length in size)
    return image.crop((left, top, left + side, top + side))


def _letterbox(pixels: "Tensor", side: int) -> "Tensor":
    height, width = pixels.shape[1:]
    scale = side / max(height, width)
    if scale != 1.0:
        # a strip of one pixel would be resized to none
        height, width = (max(1, round(length * scale)) for length in (height, width))
        pixels = torch.nn.functional.interpolate(
            pixels[None], size=(height, width), mode="bicubic", align_corners=False, antialias=True
        )[0]
    across, down = side - width, side - height
    bars = (across // 2, across - across // 2, down // 2, down - down // 2)
    return torch.nn.functional.pad(pixels, bars)

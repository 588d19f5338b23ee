"""What the front ends drew, beside what Python would have drawn."""

import base64

import numpy as np
import torch
from odam_chapters.crowds.pair_widget import PairPicker, draw_close_ups
from planted import PlantedCrowd, planted_image
from playwright.sync_api import Locator, Page
from torch import Tensor

from odam_lib import HeatMaps
from odam_lib.viz.drawing import OPACITY, add_combined, blend

CLOSE = 4 / 255
"""Maps travel in steps of 1/255, by which a pixel may get the next one of 256 colours."""


def read_canvas(shown: Locator) -> Tensor:
    """The pixels of a canvas, or of a picture in its own size, ``Tensor[3, H, W]`` in [0, 1]."""
    width, height, encoded = shown.evaluate(
        """async (shown) => {
            let canvas = shown;
            if (shown.decode) {
                await shown.decode();
                canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [shown.naturalWidth, shown.naturalHeight];
                canvas.getContext("2d").drawImage(shown, 0, 0);
            }
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            let text = "";
            for (const byte of data) text += String.fromCharCode(byte);
            return [width, height, btoa(text)];
        }"""
    )
    pixels = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(height, width, 4)
    assert (pixels[..., 3] == 255).all()
    return torch.from_numpy(pixels[..., :3].copy()).permute(2, 0, 1) / 255


def find_violations(page: Page) -> list[str]:
    """What axe-core finds in a page, of whatever weight."""
    from axe_playwright_python.sync_playwright import Axe  # of those alone who test pages without a kernel

    # It would ask for style sheets again, which no page from a folder may.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]


def draw_by_python(picture: Tensor, heat_maps: HeatMaps, row: int, attribute: str, opacity: float = OPACITY) -> Tensor:
    """One map over a picture in its size on the page, ``Tensor[3, H, W]``, by what draws all figures of the library."""
    heat = add_combined(heat_maps[row], [attribute]).normalized().to_image((picture.shape[1], picture.shape[2]))
    return blend(picture, heat[0, 0], opacity)


def draw_pair_by_python(picture: Tensor, first: int, second: int) -> list[Tensor]:
    """The two close-ups of a pair of the planted crowd."""
    picker = PairPicker(PlantedCrowd(), planted_image())
    return draw_close_ups(picture, picker.detections, picker.maps, first, second)[1]

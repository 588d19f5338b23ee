"""The place picker in Python: what is shown belongs to the place. Clicks are tested in ``browser/test_location.py``."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from odam_chapters.attention.reading import (
    NoAttentionError,
    read_encoder_attention,
    read_encoder_cells,
    spread_cells,
)
from odam_chapters.attention.widget import LocationPicker, render_encoder, show_locations
from PIL import Image
from planted import PlantedDetector, planted_image
from traitlets import TraitError

from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.detr import build_small_detr
from odam_lib.kernels.odam import min_max
from odam_lib.viz.drawing import blend
from odam_lib.viz.front_ends import encode_maps
from odam_lib.viz.standalone import LARGEST

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def traced():
    torch.manual_seed(0)
    image = torch.rand(3, 160, 256)
    return build_small_detr("untrained", CATEGORIES).trace(image), image


def test_it_begins_in_the_middle_or_at_a_place(traced) -> None:
    trace, image = traced
    assert (LocationPicker(trace, image).row, LocationPicker(trace, image).column) == (8, 13)
    picker = LocationPicker(trace, image, x=0.5, y=0.5)
    assert (picker.row, picker.column, picker.location) == (0, 0, pytest.approx((0.3, 0.3), abs=0.3))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 9), (9, 15)])
def test_what_is_shown_is_the_attention_of_the_cell(traced, row: int, column: int) -> None:
    trace, image = traced
    picker = LocationPicker(trace, image)
    picker.row, picker.column = row, column
    assert picker._shown["row"] == row and picker._shown["column"] == column
    cells = min_max(read_encoder_cells(trace)[row, column])
    assert picker._map == encode_maps(cells[None])
    drawn = blend(image, spread_cells(trace, cells[None])[0])
    assert torch.equal(render_encoder(image, trace, row, column), drawn)
    assert torch.equal(picker.heat, read_encoder_attention(trace, *picker.location))
    others = {picker._map}
    picker.column = column - 1 if column else 1
    assert picker._map not in others


def test_cells_that_do_not_exist_are_refused(traced) -> None:
    picker = LocationPicker(*traced)
    for name, value in [("row", -1), ("row", 99), ("column", 99)]:
        with pytest.raises(TraitError, match=f"There is no {name} {value}: give a number from 0"):
            setattr(picker, name, value)
    assert (picker.row, picker.column) == (8, 13)


def test_an_error_is_shown_and_raised_until_the_next_success(traced, monkeypatch: pytest.MonkeyPatch) -> None:
    picker = LocationPicker(*traced)
    with monkeypatch.context() as broken:
        broken.setattr("odam_chapters.attention.widget.encode_maps", None)
        with pytest.raises(TypeError):
            picker.row = 1
        assert picker.error.startswith("The attention could not be drawn: ")
    picker.row = 2
    assert picker.error == ""


def test_a_still_picture_stands_in_where_no_kernel_runs(traced) -> None:
    data, _ = LocationPicker(*traced)._repr_mimebundle_()
    still = np.array(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
    assert still.shape[1] > still.shape[0] > 100
    assert len(show_locations(traced[1], traced[0], [(10, 10), (100, 90)]).axes) == 3


def test_other_pictures_and_detectors_without_attention_are_refused(traced) -> None:
    with pytest.raises(ValueError, match="not the one that was traced"):
        LocationPicker(traced[0], torch.rand(3, 20, 20))
    image = planted_image()
    with pytest.raises(NoAttentionError, match="choose a DETR"):
        LocationPicker(PlantedDetector().trace(image), image)


def test_the_figure_without_python_holds_every_place(traced) -> None:
    picker = LocationPicker(*traced, x=0, y=0)
    figure = picker.standalone()
    rows, columns = picker._about["cells"]
    assert len(figure.table) == rows * columns and (figure.values["row"], figure.values["column"]) == (0, 0)
    picker.row, picker.column = rows - 1, columns - 1
    shown = figure.table[f"{rows - 1} {columns - 1}"]
    assert shown["_map"] == picker._map and shown["_shown"] == picker._shown


def test_attention_of_any_kind_on_the_largest_picture_fits_in_a_figure(traced, tmp_path: Path) -> None:
    picker = LocationPicker(*traced)
    noise = torch.randn(25 * 42, 25, 42, generator=torch.Generator().manual_seed(0))
    picker._cells = torch.softmax(noise.flatten(1), dim=1).reshape(25, 42, 25, 42)
    with pytest.MonkeyPatch.context() as larger:
        larger.setattr("odam_chapters.attention.widget.count_cells", lambda trace: (25, 42))
        path = picker.write_figure(tmp_path / "places.html")
    assert 0.5 * LARGEST < path.stat().st_size < 0.9 * LARGEST  # a picture of 640 pixels takes 0.1 of it

"""Attention weights planted in a pass land at the right pixel and belong to the right prediction."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from odam_chapters.attention.reading import (
    NoAttentionError,
    count_cells,
    find_cell,
    locate_cell,
    read_attention_cells,
    read_centre_attention,
    read_cross_attention,
    read_encoder_attention,
)
from torch import Tensor

from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.detr import build_small_detr
from odam_lib.detectors.queries import Attention, QueryTrace

pytest.importorskip("transformers")
SIZES = [(256, 256), (200, 331), (331, 200)]


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return build_small_detr("untrained", CATEGORIES)


def planted(trace: QueryTrace) -> QueryTrace:
    """Query q reads cell q + 100 alone, the cell c of the encoder the cell c + 1, query q asks query q + 1."""
    rows, columns = trace.attention.size
    cells, queries = rows * columns, len(trace.logits)
    cross = torch.eye(cells)[100 : 100 + queries][None]
    encoder, asked = torch.eye(cells).roll(1, dims=1)[None], torch.eye(queries).roll(1, dims=1)[None]
    kinds = [(torch.zeros_like(one), one) for one in (encoder, cross, asked)]  # only the last layer has weights
    return replace(trace, attention=Attention(*kinds, trace.attention.size, trace.attention.grid))


def peak(heat: Tensor) -> tuple[float, float]:
    """(x, y) of the centre of a map's mass."""
    rows, columns = (torch.arange(length) + 0.5 for length in heat.shape)
    return float((heat.sum(0) * columns).sum() / heat.sum()), float((heat.sum(1) * rows).sum() / heat.sum())


@pytest.mark.parametrize("size", SIZES)
def test_planted_cross_attention_lands_at_the_centre_of_its_cell(untrained, size: tuple[int, int]) -> None:
    trace = planted(untrained.trace(torch.rand(3, *size)))
    columns = trace.attention.size[1]
    chosen = [row for row in range(10) if 0 < (100 + row) % columns < count_cells(trace)[1] - 1]
    for row, heat in zip(chosen, read_cross_attention(trace, trace.candidates[chosen])):
        assert heat.shape == size
        expected = locate_cell(trace, (100 + row) // columns, (100 + row) % columns)
        assert peak(heat) == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("size", SIZES)
def test_planted_encoder_attention_is_that_of_the_place(untrained, size: tuple[int, int]) -> None:
    trace = planted(untrained.trace(torch.rand(3, *size)))
    place = locate_cell(trace, 3, 4)
    heat = read_encoder_attention(trace, place[0] + 1, place[1] - 1)
    assert peak(heat) == pytest.approx(locate_cell(trace, 3, 5), abs=0.6)
    assert read_encoder_attention(trace, *place, size=(32, 40)).shape == (32, 40)
    boxes = torch.tensor([place]).repeat(1, 2) + torch.tensor([-9.0, -5.0, 9.0, 5.0])
    centred = replace(trace.candidates[[0]], boxes=boxes)
    torch.testing.assert_close(read_centre_attention(trace, centred)[0], heat)


@pytest.mark.parametrize("size", SIZES)
def test_every_cell_is_found_at_its_own_centre(untrained, size: tuple[int, int]) -> None:
    trace = untrained.trace(torch.rand(3, *size))
    rows, columns = count_cells(trace)
    for row in range(rows):
        for column in range(columns):
            assert find_cell(trace, *locate_cell(trace, row, column)) == (row, column)
    assert find_cell(trace, size[1], size[0]) == (rows - 1, columns - 1)
    with pytest.raises(ValueError, match="outside the picture"):
        find_cell(trace, size[1] + 1, 0)


def test_weights_of_cells_sum_to_one_and_of_queries_to_at_most_one(untrained) -> None:
    trace = untrained.trace(torch.rand(3, 200, 331))
    some = trace.candidates[[4, 1, 7]]
    cells = read_attention_cells(trace, some)
    assert cells.shape == (3, *trace.attention.size)
    torch.testing.assert_close(cells.sum(dim=(1, 2)), torch.ones(3))
    heads = torch.stack([read_attention_cells(trace, some, head=head) for head in range(4)])
    torch.testing.assert_close(heads.mean(dim=0), cells)


def test_no_detections_give_no_maps(untrained) -> None:
    trace = untrained.trace(torch.rand(3, 256, 256))
    nothing = trace.candidates[[]]
    assert read_cross_attention(trace, nothing).shape == read_centre_attention(trace, nothing).shape == (0, 256, 256)


def test_rows_of_another_picture_are_refused(untrained) -> None:
    trace, other = (untrained.trace(torch.rand(3, 256, 256)) for _ in range(2))
    for read in (read_cross_attention, read_attention_cells, read_centre_attention):
        with pytest.raises(ValueError, match="explain detections with the detector and the image that made them"):
            read(trace, other.candidates)


def test_a_detector_without_attention_is_told_in_a_sentence(detector, held_out, untrained) -> None:
    trace = detector.trace(held_out[0][0])
    for read in (read_cross_attention, read_attention_cells, read_centre_attention):
        with pytest.raises(NoAttentionError, match=r"fcos-scenes .* has no attention to read"):
            read(trace, trace.detections(0.5))
    with pytest.raises(NoAttentionError, match="choose a DETR"):
        read_encoder_attention(trace, 1, 1)


def test_layers_and_heads_are_chosen_as_rows_are(untrained) -> None:
    trace = untrained.trace(torch.rand(3, 64, 64))
    found = trace.candidates[:2]
    last, heads = len(trace.attention.cross) - 1, len(trace.attention.cross[0])
    expected = read_attention_cells(trace, found, last, heads - 1)
    for layer, head in ((-1, -1), (np.int64(last), torch.tensor(heads - 1))):
        assert torch.equal(read_attention_cells(trace, found, layer, head), expected)
    for call in (
        lambda layer: read_encoder_attention(trace, 1, 1, layer),
        lambda layer: read_attention_cells(trace, found, layer),
        lambda layer: read_attention_cells(trace, found, -1, layer),
    ):
        for layer, error in ((99, IndexError), ("last", TypeError), (True, TypeError), (1.0, TypeError)):
            with pytest.raises(error, match=r"does not exist: there are|give one row, a whole number"):
                call(layer)
    with pytest.raises(TypeError, match="x is '1': give a finite number"):
        read_encoder_attention(trace, "1", 1)

"""A row, or several, can be chosen in every way that Python and NumPy know, and in no other, wherever rows are."""

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from odam_chapters.crowds.decisions import decide
from torch import Tensor

from odam_lib import explain, show_maps
from odam_lib.datasets.pictures import check_item
from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections
from odam_lib.heatmaps import HeatMaps
from odam_lib.kernels.checks import row, rows
from odam_lib.kernels.grid import Grid
from odam_lib.viz.plots import show_map

NUMBER = 5
LAST_FIRST = np.arange(NUMBER)[::-1]  # a view that PyTorch refuses
CHOSEN = [
    *[(2, [2]), (-1, [4]), (np.int64(2), [2]), (np.uint8(2), [2]), (np.array(2), [2]), (torch.tensor(2), [2])],
    *[(torch.tensor(-1), [4]), (torch.tensor([2]), [2]), (torch.tensor([0.1, 0.2, 0.9, 0.3, 0]).argmax(), [2])],
    *[([3, 0], [3, 0]), ((3, 0), [3, 0]), ([0, 0], [0, 0]), ([-1, 0], [4, 0]), (range(1, 3), [1, 2]), ([], [])],
    *[([np.int64(3), np.int64(0)], [3, 0]), ([torch.tensor(3), 0], [3, 0]), (torch.tensor([3, -1]), [3, 4])],
    *[(np.array([3, 0]), [3, 0]), (np.array([3, 0], np.uint16), [3, 0]), (LAST_FIRST, [4, 3, 2, 1, 0])],
    *[(torch.tensor([]), []), (np.array([]), []), (torch.tensor([1, 0], dtype=torch.int8), [1, 0])],
    *[(slice(1, 3), [1, 2]), (slice(None, None, -2), [4, 2, 0]), (slice(np.int64(3), torch.tensor(9)), [3, 4])],
    *[([True, False, False, True, False], [0, 3]), (torch.arange(5) > 2, [3, 4]), (np.arange(5) > 2, [3, 4])],
    *[([np.True_, *[np.False_] * 4], [0]), (torch.zeros(5, dtype=torch.bool), [])],
]
"""What is asked for, and the rows that this is."""

REFUSED = [
    *[(True, TypeError), (np.True_, TypeError), (torch.tensor(True), TypeError), (np.array(True), TypeError)],
    *[([True, 2], TypeError), (1.0, TypeError), (np.float32(1), TypeError), (torch.tensor(1.0), TypeError)],
    *[([0.5], TypeError), (np.array([1.0]), TypeError), ("1", TypeError), (["person"], TypeError), (None, TypeError)],
    *[(..., TypeError), ({1}, TypeError), ({"row": 1}, TypeError), (b"1", TypeError), (slice(0.5, 2), TypeError)],
    *[((0, "class"), TypeError), ([None], TypeError), (1j, TypeError), ([[0], [1, 2]], TypeError)],
    *[
        (5, IndexError),
        (-6, IndexError),
        (10**30, IndexError),
        (np.int64(5), IndexError),
        (torch.tensor(-6), IndexError),
    ],
    *[([0, 5], IndexError), (np.array([-6]), IndexError), ([True, False], IndexError), (np.arange(6) > 2, IndexError)],
    *[([[0, 1]], IndexError), (torch.zeros(2, 2, dtype=torch.int64), IndexError), (slice(0, 3, 0), ValueError)],
]


def explained() -> HeatMaps:
    """Five detections; every number of a row is the row's."""
    each = torch.arange(NUMBER)
    found = Detections(
        boxes=torch.tensor([0.0, 0, 10, 10]) + each[:, None],
        scores=each / 10,
        labels=torch.ones_like(each),
        class_probs=each[:, None] / 10 * torch.tensor([0.0, 1]),
        level=torch.zeros_like(each),
        index=each,
        image_size=(20, 30),
        categories=("__background__", "person"),
        source="fake on image 0",
    )
    maps = tuple(torch.full((1, 2, 3), float(one)) for one in each)
    grids = tuple(Grid(0.5, 0.5, 8, 8 + float(one)) for one in each)
    return HeatMaps(maps, (("",),) * NUMBER, ("class",), found, grids, (20, 30), "fpn", "test")


def in_detections(chosen: object) -> list[int]:
    return explained().detections[chosen].index.tolist()


def in_maps(chosen: object) -> list[int]:
    some = explained()[chosen]
    assert some.detections.index.tolist() == [int(grid.dy) - 8 for grid in some.grids]
    return [int(maps[0, 0, 0]) for maps in some.maps]


@pytest.mark.parametrize("choose", [in_detections, in_maps])
@pytest.mark.parametrize(("chosen", "expected"), CHOSEN, ids=repr)
def test_rows_are_read_as_python_and_numpy_would(choose, chosen: object, expected: list[int]) -> None:
    assert choose(chosen) == expected


@pytest.mark.parametrize("choose", [in_detections, in_maps, lambda chosen: rows(chosen, NUMBER)])
@pytest.mark.parametrize(("chosen", "error"), REFUSED, ids=repr)
def test_what_is_no_row_is_refused_in_one_sentence(choose, chosen: object, error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        choose(chosen)
    assert len(str(refused.value)) < 200 and "\n" not in str(refused.value)
    assert any(word in str(refused.value) for word in ("give", "does not exist"))


def test_what_was_chosen_keeps_nothing_else_in_memory() -> None:
    """A slice that is a view would keep, and pickle, all that it was cut from."""
    for some in (explained().detections[1:2], explained().detections[:0]):
        assert some.boxes.untyped_storage().nbytes() == some.boxes.nbytes


def test_rows_chosen_in_inference_mode_can_be_explained_all_the_same() -> None:
    found = explained().detections
    with torch.inference_mode():
        for chosen in (1, [1], slice(1, 2), torch.tensor([1]), found.scores == found.scores.max()):
            assert not any(value.is_inference() for value in vars(found[chosen]).values() if isinstance(value, Tensor))


@pytest.mark.parametrize("chosen", [3, -2, np.int32(3), torch.tensor(3), np.array(-2)], ids=repr)
def test_one_row_is_the_same_in_figures_and_verdicts(chosen: int | np.integer | Tensor) -> None:
    maps, picture = explained(), torch.zeros(3, 20, 30)
    assert row(chosen, NUMBER) == 3
    assert show_map(picture, maps, chosen).axes[0].get_title().startswith("3 person 0.30")
    if int(chosen) >= 0:
        heat = maps.to_image()[:, 0]
        assert decide(maps.detections, heat, chosen, np.int64(1)) == decide(maps.detections, heat, 3, 1)


@pytest.mark.parametrize("chosen", [True, [3], slice(3, 4), 3.0, None, torch.tensor([3]), "3"], ids=repr)
def test_where_one_row_is_asked_for_nothing_else_is_taken(chosen: object) -> None:
    with pytest.raises(TypeError, match="give one row, a whole number"):
        show_map(torch.zeros(3, 20, 30), explained(), chosen)


def test_detections_chosen_in_any_way_are_explained(detector, held_out) -> None:
    image = held_out[0][0]
    found = detector.detect(image)
    best = found.scores.argmax()
    for chosen in (best, best.numpy(), np.int64(best), found.scores == found.scores.max()):
        maps = explain(detector, image, found[chosen], ("class",))
        assert len(maps) == 1 and int(maps.detections.index[0]) == int(found.index[best])
    every = explain(detector, image, found, ("class",))
    assert torch.equal(every[best].maps[0], every[int(best)].maps[0])


def test_items_of_data_sets_are_whole_numbers() -> None:
    scenes = Scenes("val", 3)
    expected = scenes[2][1]["image_id"]
    assert [scenes[item][1]["image_id"] for item in (np.int64(2), torch.tensor(2), np.array(2))] == [expected] * 3
    for item in (True, 1.0, "1", None, slice(0, 2), [1]):
        for choose in (scenes.__getitem__, lambda item: check_item(item, 3)):
            with pytest.raises(TypeError, match="give a whole number"):
                choose(item)
    for item in (np.int64(3), torch.tensor(-1)):
        for choose in (scenes.__getitem__, lambda item: check_item(item, 3)):
            with pytest.raises(IndexError, match="does not exist: there are 3"):
                choose(item)


def test_numbers_of_objects_are_whole_and_one_for_each() -> None:
    maps, picture = explained()[:2], torch.zeros(3, 20, 30)
    for numbers in ([3, 4], np.array([3, 4]), torch.tensor([3, 4])):
        texts = show_maps(picture, maps, ("class",), numbers=numbers).findobj(Text)
        assert [number for number in range(5) if any(f"{number} person" in text.get_text() for text in texts)] == [3, 4]
    for numbers, error in (([3], ValueError), ([3, True], TypeError), ([3.5, 4], TypeError), ([-1, 0], ValueError)):
        with pytest.raises(error, match="give"):
            show_maps(picture, maps, ("class",), numbers=numbers)


@pytest.mark.parametrize("chosen", [torch.tensor([1, 0]).to_sparse(), torch.zeros(2, dtype=torch.int64, device="meta")])
def test_tensors_without_plain_numbers_are_no_rows(chosen: Tensor) -> None:
    with pytest.raises(TypeError, match=r"The detections are chosen by a tensor of int64 .*: give a whole number"):
        rows(chosen, 3)

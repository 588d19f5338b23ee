"""The picker in Python: what is shown belongs to what was chosen. Clicks are tested in ``browser/test_picker.py``."""

import base64
import io
import itertools
import re
from pathlib import Path

import numpy as np
import odam_chapters
import pytest
import torch
from PIL import Image
from planted import SIZE, STRIDE, PlantedDetector, PlantedTrace, planted_image, planted_map
from torch import Tensor
from traitlets import TraitError

from odam_lib import ODAM, explain
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.viz.drawing import OPACITY
from odam_lib.viz.front_ends import NOTHING_FOUND, SHOWN, STATIC, read_front_end
from odam_lib.viz.widgets import SMOOTHINGS, InstancePicker, static_figure


@pytest.fixture
def picker() -> InstancePicker:
    return InstancePicker(PlantedDetector(), planted_image())


def pixels(png: bytes) -> Tensor:
    """A PNG as ``Tensor[3, H, W]`` in [0, 1]."""
    return torch.from_numpy(np.array(Image.open(io.BytesIO(png)))).permute(2, 0, 1) / 255


@pytest.mark.parametrize("row", range(4))
def test_the_maps_are_those_of_the_selected_object(picker: InstancePicker, row: int) -> None:
    picker.smoothing, picker.selected = "none", row
    for column, attribute in enumerate(ATTRIBUTES):
        assert torch.equal(picker.heat_maps.maps[0][column], planted_map(row, attribute))
    assert picker.heat_maps.detections.boxes.tolist() == picker.detections.boxes[row : row + 1].tolist()


@pytest.mark.parametrize("row", range(4))
def test_what_is_sent_are_the_selected_maps_and_where_they_lie(picker: InstancePicker, row: int) -> None:
    picker.smoothing, picker.selected = "none", row
    sent = torch.from_numpy(np.array(Image.open(io.BytesIO(picker._maps)))).unflatten(0, (len(SHOWN), -1)) / 255
    for column, attribute in enumerate(ATTRIBUTES):
        assert torch.equal(sent[column], planted_map(row, attribute))
    assert torch.equal(sent[-1], sent[:-1].amax(dim=0))
    assert picker._shown["selected"] == row and picker._shown["reasons"] == [""] * len(SHOWN)
    cell = torch.tensor([STRIDE / SIZE[1], STRIDE / SIZE[0]])
    assert torch.tensor(picker._shown["grid"]["step"]).equal(cell)
    assert torch.tensor(picker._shown["grid"]["first"]).equal(cell / 2)


def test_python_draws_what_it_alone_can_draw(picker: InstancePicker) -> None:
    for name, value, drawn in [
        ("selected", 2, 1),
        ("smoothing", "none", 1),
        ("attribute", "y2", 0),
        ("opacity", 0.3, 0),
    ]:
        sent: list[object] = []
        picker.observe(sent.append, "_shown")
        before = picker._maps
        setattr(picker, name, value)
        picker.unobserve(sent.append, "_shown")
        assert len(sent) == drawn and (picker._maps != before) == bool(drawn)


def test_smoothing_is_handed_to_odam(picker: InstancePicker) -> None:
    everything = {name: explain(PlantedDetector(), planted_image(), method=ODAM(s)) for name, s in SMOOTHINGS.items()}
    for name, maps in everything.items():
        picker.smoothing = name
        assert torch.equal(picker.heat_maps.maps[0], maps.maps[0])


def test_one_forward_pass_and_each_explanation_once(monkeypatch: pytest.MonkeyPatch) -> None:
    explained: list[tuple[int, str]] = []
    planted = PlantedTrace.targets

    def spy(self: PlantedTrace, attribute: str, detections: object) -> Tensor:
        explained.append((int(detections.index), attribute))
        return planted(self, attribute, detections)

    monkeypatch.setattr(PlantedTrace, "targets", spy)
    detector = PlantedDetector()
    picker = InstancePicker(detector, planted_image())
    assert explained == [(0, attribute) for attribute in ATTRIBUTES]
    for row, attribute, opacity in itertools.product((1, 0, 1), SHOWN, (0.2, 0.9)):
        picker.selected, picker.attribute, picker.opacity = row, attribute, opacity
    assert picker.heat_maps is picker.heat_maps
    assert explained == [(row, attribute) for row in (0, 1) for attribute in ATTRIBUTES]
    assert detector.passes == 1


def test_given_detections_keep_their_order_and_foreign_ones_are_refused() -> None:
    detector, image = PlantedDetector(), planted_image()
    picker = InstancePicker(detector, image, detector.detect(image)[[3, 1]], smoothing="none", selected=1)
    assert picker.detections.names() == ["car", "dog"]
    assert torch.equal(picker.heat_maps.maps[0][0], planted_map(1, "class"))
    with pytest.raises(ValueError, match="explain detections with the detector and the image that made them"):
        InstancePicker(detector, image * 0.5, detector.detect(image))


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("selected", 4, "There is no object 4: give a number from 0 to 3."),
        ("selected", -1, "There is no object -1: give a number from 0 to 3."),
        ("attribute", "logit", "expected any of"),
        ("smoothing", "strong", "expected any of"),
        ("opacity", 1.5, "The opacity is 1.5: give a number in"),
        ("opacity", float("nan"), "The opacity is nan: give a number in"),
    ],
)
def test_values_that_do_not_exist_are_refused_and_change_nothing(
    picker: InstancePicker, name: str, value: object, sentence: str
) -> None:
    before = (getattr(picker, name), picker._maps)
    with pytest.raises(TraitError, match=sentence):
        setattr(picker, name, value)
    assert (getattr(picker, name), picker._maps) == before
    with pytest.raises(TraitError, match=sentence):
        InstancePicker(PlantedDetector(), planted_image(), **{name: value})


def test_an_error_is_shown_and_raised_and_gone_with_the_next_success(
    picker: InstancePicker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Tensor:
        raise RuntimeError("out of memory")

    shown = picker._shown
    with monkeypatch.context() as broken:
        broken.setattr(PlantedTrace, "targets", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            picker.selected = 1
    assert picker.error == "The map could not be drawn: out of memory"
    assert picker._shown == shown
    picker.selected = 2
    assert picker.error == ""
    assert picker._shown["selected"] == 2


def test_without_detections_there_is_a_picture_and_a_sentence() -> None:
    picker = InstancePicker(PlantedDetector(), planted_image(), score_threshold=0.99)
    assert picker.selected == -1
    assert picker._about["sentence"] == NOTHING_FOUND
    assert pixels(picker._picture).shape == (3, *SIZE)
    assert len(picker.heat_maps) == 0
    picker.smoothing = "none"
    assert picker._maps == b"" and picker.error == ""
    assert repr(picker) == "InstancePicker(0 objects, selected: none)"
    assert "image/png" in picker._repr_mimebundle_()[0]
    with pytest.raises(TraitError, match="nothing was found"):
        picker.selected = 0


def test_a_still_picture_accompanies_the_live_view(picker: InstancePicker) -> None:
    picker.selected = 2
    data, _ = picker._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == "InstancePicker(4 objects, selected: 2 bicycle, class)"
    png = base64.b64decode(data["image/png"])
    assert Image.open(io.BytesIO(png)).size > (600, 200)
    assert len(png) < 300_000


def test_the_still_picture_names_the_selected_object_and_every_attribute(picker: InstancePicker) -> None:
    figure = static_figure(planted_image(), picker.detections, picker.heat_maps, 0)
    assert figure.get_suptitle() == "Why 0 person 0.95 was found there"
    assert len(figure.axes) == 1 + len(SHOWN)
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "0 person 0.95", "1 dog 0.85", "2 bicycle 0.75", "3 car 0.65",
    ]  # fmt: skip


def test_what_travels_to_the_browser_is_small() -> None:
    noise = torch.rand(3, 900, 1200, generator=torch.Generator().manual_seed(0))
    picker = InstancePicker(PlantedDetector(), noise)
    state = picker.get_state()
    assert pixels(state["_picture"]).shape == (3, 480, 640)
    assert len(state["_picture"]) < 1_000_000 and len(state["_maps"]) < 10_000
    assert not any(isinstance(value, Tensor) for value in state.values())
    assert picker.opacity == OPACITY


FRONT_ENDS = [STATIC / "picker.js", *odam_chapters.STATIC.glob("*.js")]


@pytest.mark.parametrize("path", FRONT_ENDS, ids=lambda path: path.stem)
def test_a_front_end_is_one_module_that_declares_each_name_once(path: Path) -> None:
    module = read_front_end(path)
    declared = re.findall(r"^(?:export )?(?:function|const|let) (\w+)", module, re.MULTILINE)
    assert {"make", "frame", "showPng", "render"} <= set(declared) and len(declared) == len(set(declared))
    assert module.count("export default") == 1 and not re.search(r"^import ", module, re.MULTILINE)
    with pytest.raises(FileNotFoundError):
        read_front_end(STATIC / "absent.js")

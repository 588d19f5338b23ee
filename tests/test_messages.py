"""What a front end sends to a widget counts as a whole or not at all; text from outside is never a page's code."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import odam_chapters
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from odam_chapters.crowds.pair_widget import PairPicker
from odam_chapters.errors.plots import Case
from odam_chapters.errors.widget import MistakeBrowser
from planted import PlantedCrowd, PlantedDetector, planted_image
from traitlets import TraitError

from odam_lib.detectors.detr import build_small_detr
from odam_lib.viz.choosing import Choosing
from odam_lib.viz.front_ends import STATIC
from odam_lib.viz.sheets import MOST_BOXES
from odam_lib.viz.widgets import InstancePicker

IMAGE = planted_image()


def browser() -> MistakeBrowser:
    return MistakeBrowser(["0", "1", "2"], lambda number: Case(IMAGE, None, torch.ones(4), None, str(number)))


def location() -> Choosing:
    pytest.importorskip("transformers")
    from odam_chapters.attention.widget import LocationPicker

    from odam_lib.datasets.scenes import CATEGORIES

    torch.manual_seed(0)
    image = torch.rand(3, 96, 128)
    return LocationPicker(build_small_detr("untrained", CATEGORIES).trace(image), image)


WIDGETS: dict[str, Callable[[], Choosing]] = {
    "instances": lambda: InstancePicker(PlantedDetector(), IMAGE),
    "pairs": lambda: PairPicker(PlantedCrowd(), IMAGE),
    "mistakes": browser,
    "places": location,
}
_made: dict[str, Choosing] = {}


@pytest.fixture
def widget(request: pytest.FixtureRequest) -> Choosing:
    """One of the widgets, made once for all tests: making a DETR takes a second."""
    if request.param not in _made:
        _made[request.param] = WIDGETS[request.param]()
    return _made[request.param]


every = pytest.mark.parametrize("widget", WIDGETS, indirect=True)


@contextmanager
def changes_nothing(widget: Choosing) -> Iterator[None]:
    """All that a widget shows, but the alert, stays; the alert is one sentence."""
    before = widget.get_state()
    yield
    after = widget.get_state()
    assert {name for name in before if name != "error" and before[name] != after[name]} == set()
    assert widget.error and "\n" not in widget.error and len(widget.error) <= 200


def good(widget: Choosing) -> dict[str, Any]:
    """A message of another choice than the present one."""
    rows = {"selected": (0, 1), "second": (1, 2, 3), "row": (0, 1)}
    name = next(one for one in widget.CHOICES if one in rows)
    taken = (getattr(widget, name), getattr(widget, "first", None))
    return {name: next(row for row in rows[name] if row not in taken)}


NONSENSE = [
    True, False, None, "1", "evil", -2, 10**30, -(10**400), 1.5, math.nan, math.inf, [], [1], {}, {"a": 1}, b"1",
]  # fmt: skip


@every
def test_a_message_that_is_wrong_anywhere_changes_nothing_and_shows_an_alert(widget: Choosing) -> None:
    for name in widget.CHOICES:
        for wrong in NONSENSE:
            if isinstance(getattr(widget, name), float) and wrong in (0, 1) and not isinstance(wrong, bool):
                continue
            for message in ({name: wrong}, {**good(widget), name: wrong}, {name: wrong, **good(widget)}):
                if message[name] is wrong:
                    widget.error = ""
                    with changes_nothing(widget):
                        widget.set_state(message)


@every
def test_what_is_no_choice_cannot_be_set_by_a_front_end(widget: Choosing) -> None:
    for name in ("_esm", "_css", "_about", "_picture", "_shown", "error", "layout", "detections", "unheard of"):
        with changes_nothing(widget):
            widget.set_state({**good(widget), name: "evil"})
    for message in (None, [], ["selected"], "selected", 3):
        with changes_nothing(widget):
            widget.set_state(message)


@every
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_message_is_applied_whole_or_not_at_all(widget: Choosing, data: st.DataObject) -> None:
    values = st.one_of(st.integers(-3, 5), st.floats(), st.booleans(), st.text(max_size=3), st.none())
    message = data.draw(st.dictionaries(st.sampled_from([*widget.CHOICES, "_about"]), values, max_size=4))
    before = {name: getattr(widget, name) for name in widget.CHOICES}
    widget.set_state(message)
    after = {name: getattr(widget, name) for name in widget.CHOICES}
    assert after == (before if widget.error else before | message)
    assert {type(value) for value in after.values()} <= {int, float, str}


@every
def test_the_alert_goes_with_the_next_message_and_the_front_end_hears_what_holds(
    widget: Choosing, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(widget, "send_state", lambda key=None: told.append(key))
        widget.set_state({widget.CHOICES[0]: "evil"})
    assert widget.error and list(widget.CHOICES) in told
    message = good(widget)
    widget.set_state(message)
    assert widget.error == "" and all(getattr(widget, name) == value for name, value in message.items())
    widget.set_state({widget.CHOICES[0]: "evil"})
    widget.set_state(message)  # changes nothing, but is right
    assert widget.error == ""


def test_a_message_may_exchange_what_no_single_one_could() -> None:
    picker = PairPicker(PlantedCrowd(), IMAGE, first=0, second=1)
    picker.set_state({"first": 1, "second": 0})
    assert (picker.first, picker.second, picker.error) == (1, 0, "")
    picker.set_state({"low": 0.9, "high": 0.95})
    picker.set_state({"high": 0.1, "low": 0.1, "first": 0, "second": 1})
    assert (picker.low, picker.high, picker.first) == (0.1, 0.1, 0)


@every
@pytest.mark.parametrize("number", [np.int64(1), np.uint8(1), torch.tensor(1)])
def test_integers_of_any_kind_choose_a_row_and_truth_values_do_not(widget: Choosing, number: Any) -> None:
    name = next(one for one in widget.CHOICES if one in ("selected", "second", "row"))
    setattr(widget, name, 0 if getattr(widget, "first", 1) else 2)
    if getattr(widget, "first", None) == 1:
        widget.first = 3
    setattr(widget, name, number)
    assert getattr(widget, name) == 1 and type(getattr(widget, name)) is int
    for wrong in (True, np.True_, torch.tensor(True), 1.0, np.float32(1), torch.tensor(1.0), [1], torch.tensor([1])):
        with pytest.raises(TraitError, match=rf"^{name} is [^\n]*: give a whole number\.$"):
            setattr(widget, name, wrong)


def test_shares_are_numbers_of_any_kind_in_0_to_1() -> None:
    picker = InstancePicker(PlantedDetector(), IMAGE)
    best = picker.detections.scores.argmax()
    picker.selected, picker.opacity = best, picker.detections.scores[best]
    assert (picker.selected, picker.opacity) == (int(best), float(picker.detections.scores[best]))
    picker.opacity = np.float32(0.5)
    assert picker.opacity == 0.5 and type(picker.opacity) is float
    for wrong in (True, "0.5", None, torch.tensor([0.5]), 2, torch.tensor(-0.1), math.nan):
        with pytest.raises(TraitError, match=r"^The opacity is [^\n]*: give a number in \[0, 1\]\.$"):
            picker.opacity = wrong


def test_what_a_widget_begins_with_is_read_as_what_is_set_later() -> None:
    first = torch.tensor(1)
    assert InstancePicker(PlantedDetector(), IMAGE, selected=first).selected == 1
    assert PairPicker(PlantedCrowd(), IMAGE, first=first).first == 1
    assert PairPicker(PlantedCrowd(), IMAGE, second=np.int64(1)).second == 1
    assert MistakeBrowser(["0", "1"], browser()._case, first).selected == 1
    for make in (InstancePicker, PairPicker):
        with pytest.raises(TypeError, match="give load_detector"):
            make("fcos-scenes", IMAGE)
        with pytest.raises(TypeError, match="The detections are a tensor"):
            make(PlantedCrowd(), IMAGE, torch.rand(2, 4))


@pytest.mark.parametrize("wrong", [True, 1.0, "1", [1], np.array([0, 1])], ids=repr)
def test_what_is_no_number_begins_no_widget(wrong: object) -> None:
    for make in (
        lambda: InstancePicker(PlantedDetector(), IMAGE, selected=wrong),
        lambda: PairPicker(PlantedCrowd(), IMAGE, first=wrong),
        lambda: PairPicker(PlantedCrowd(), IMAGE, second=wrong),
        lambda: MistakeBrowser(["0", "1"], browser()._case, wrong),
    ):
        with pytest.raises(TraitError, match="give a whole number"):
            make()


def test_a_failure_to_draw_stays_until_something_is_drawn() -> None:
    def case(number: int) -> Case:
        if number == 1:
            raise RuntimeError("<img src=x onerror=alert(1)>\nno such picture")
        return Case(IMAGE, None, torch.ones(4), None, "fine")

    mistakes = MistakeBrowser(["0", "1", "2"], case)
    with pytest.raises(RuntimeError):
        mistakes.set_state({"selected": 1})
    failure = mistakes.error
    assert failure == r"The mistake could not be drawn: <img src=x onerror=alert(1)>\nno such picture"
    mistakes.set_state({"selected": 7})
    assert mistakes.error != failure
    mistakes.set_state({"selected": 1})
    assert mistakes.error == failure
    mistakes.set_state({"selected": 2})
    assert mistakes.error == ""


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_callback_in_any_mode_of_gradients_draws_the_same(mode: Callable[[], Any]) -> None:
    """Drawing itself; that explaining works in these modes is for the explainers' tests."""
    expected, picker = browser(), browser()
    expected.set_state({"selected": 2})
    with mode():
        picker.set_state({"selected": 2})
    assert picker._picture == expected._picture and picker.error == ""


def test_front_ends_write_text_as_text_only() -> None:
    """Escaping is in one place, ``make`` of common.js, which sets text nodes and attributes of fixed names."""
    for path in (*STATIC.glob("*.js"), *odam_chapters.STATIC.glob("*.js")):
        code = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc", code
        )
        assert not re.search(r"javascript:|\bhref\b|setAttribute\(\s*[\"']on", code)
        assert path.name == "common.js" or "createElement" not in code
    for path in (*STATIC.parents[1].rglob("*.py"), *odam_chapters.STATIC.parent.rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        assert not re.search(r"\bHTML\(|_repr_html_|_repr_svg_|_repr_javascript_|import ipywidgets", code), path


class Many(PlantedDetector):
    """Finds many objects."""

    def trace(self, image: torch.Tensor, layer: str | None = None):
        trace = super().trace(image, layer)
        return replace(trace, candidates=trace.candidates[torch.arange(700) % 4])


class ManyPeople(Many, PlantedCrowd):
    pass


def test_widgets_offer_a_number_of_objects_that_they_state() -> None:
    detector = Many()
    picker = InstancePicker(detector, IMAGE, detector.trace(IMAGE).candidates)
    assert len(picker.detections) == len(picker._about["objects"]) == MOST_BOXES
    assert f"The first {MOST_BOXES} of 700 objects" in picker._about["sentence"]
    crowd = ManyPeople()
    pairs = PairPicker(crowd, IMAGE, crowd.trace(IMAGE).candidates)
    assert len(pairs.detections) == len(pairs.maps) == MOST_BOXES and "of 700" in pairs._about["sentence"]

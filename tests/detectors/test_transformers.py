"""What is particular to wrapped models of transformers: levels, background, processors, refusals, checkpoints."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from wrapped import PICTURE, nudged
from wrapped_transformers import CASES, NAMES

from odam_lib import ODAM, load_detector, wrap
from odam_lib.detectors import hub
from odam_lib.detectors.base import Detector
from odam_lib.detectors.queries import Undetached
from odam_lib.detectors.trace import Limits
from odam_lib.explainers.grad_cam import GradCAM
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels.grid import sample_grid
from odam_lib.kernels.windows import Windows

transformers = pytest.importorskip("transformers")
BY_NAME = {case.name: case for case in CASES}
SEVERAL = ["deformable_detr", "deformable_detr_two_stage", "rt_detr", "rt_detr_v2", "d_fine"]
PICTURE_U8 = (PICTURE * 255).round().to(torch.uint8)


def detector_of(name: str) -> Detector:
    case = BY_NAME[name]
    return wrap(case.build(), case.categories, **case.options)


@pytest.mark.parametrize("method", [ODAM(), ODAM(smoothing=None), ODAM(smoothing=1.0, rectify="none"), GradCAM()])
@pytest.mark.parametrize("name", SEVERAL)
def test_a_map_is_the_sum_of_those_of_its_levels_on_the_picture(name: str, method) -> None:
    trace = detector_of(name).trace(PICTURE)
    rows = trace.detections(0.05)[:2]
    maps = method(trace, rows, ATTRIBUTES)
    assert len(trace.features) == 3 and trace.reads_all_levels
    total = torch.zeros_like(maps.to_image())
    for level in range(3):
        one = _LevelAlone(method, level)
        spread = torch.stack(
            [sample_grid(each, trace.grids[level], trace.input_size, rows.image_size) for each in one(trace, rows)]
        )
        assert spread.any()
        total += spread
    torch.testing.assert_close(maps.to_image(), total, rtol=1e-5, atol=2e-5 * float(total.abs().max()))


class _LevelAlone:
    """The maps of one level of each attribute from one call of autograd each, ``[A, h, w]`` of each detection."""

    def __init__(self, method, level: int) -> None:
        self.method, self.level = method, level

    def __call__(self, trace, rows) -> list[torch.Tensor]:
        features, zero = trace.features[self.level], torch.zeros(1, dtype=torch.int64)
        found = []
        for row in range(len(rows)):
            each = [
                torch.autograd.grad(trace.targets(attribute, rows[row])[0], features, retain_graph=True)[0]
                for attribute in ATTRIBUTES
            ]
            sigma = self.method.sigma(trace, rows[row], zero + self.level)
            windows = Windows(torch.stack(each, dim=1), zero, zero)
            found.append(self.method.weigh(windows, features.detach(), zero, sigma)[0])
        return found


@pytest.mark.parametrize("name", BY_NAME)
def test_gradients_are_what_moves_the_edges(name: str) -> None:
    """Finite differences along the gradient on each level of each layer; PyTorch's own are wrong behind batch norms."""
    case = BY_NAME[name]
    detector = wrap(case.build().double(), case.categories, **case.options)
    for layer in detector.layers:
        trace = detector.trace(PICTURE, layer)
        row = trace.detections(0.05)[:1]
        for edge, column in (("x1", 0), ("y2", 3)):
            gradients = torch.autograd.grad(trace.targets(edge, row)[0], trace.features, retain_graph=True)
            for level, gradient in enumerate(gradients):
                if not gradient.any():
                    continue
                size, ends = 1e-5 * trace.features[level].detach().norm(), []
                for sign in (1, -1):
                    step = (sign * size * gradient / gradient.norm()).detach()
                    with torch.no_grad(), nudged(detector, layer, level, step):
                        after = detector.trace(PICTURE, layer)
                    same = (after.logits - trace.logits[row.index]).abs().sum(dim=1).argmin()  # ranks may change
                    ends.append(after.corners[same, column])
                moved = (ends[0] - ends[1]).detach() / (2 * size) * (-1 if edge == "x1" else 1)
                assert float(moved / gradient.norm()) == pytest.approx(1, abs=0.25), (layer, level, edge)


def test_references_that_training_cuts_off_belong_to_the_gradient() -> None:
    value = torch.tensor(2.0, requires_grad=True)
    with Undetached():
        kept = value.detach() * 3
        with torch.no_grad():
            cut = value.detach()
    assert kept.requires_grad and not cut.requires_grad and not value.detach().requires_grad


def test_a_query_with_sigmoids_may_be_several_things_and_one_with_softmax_one() -> None:
    for name, several in (("conditional_detr", True), ("detr", False)):
        found = detector_of(name).detect(PICTURE, 0.05)
        assert (len(found.index.unique()) < len(found)) == several
        assert len(found) <= 100


def test_no_more_are_found_than_the_processor_keeps() -> None:
    case = BY_NAME["rt_detr"]
    trace = wrap(case.build(), case.categories, **case.options).trace(PICTURE)
    assert len(replace(trace, limits=Limits()).above(0.0)) > 12 and len(trace.detections(0.0)) == 12


@pytest.mark.parametrize(("first", "categories"), [("N/A", 5), ("person", 6)])
def test_background_is_told_by_the_name_of_the_first_id(first: str, categories: int) -> None:
    names = [first, *NAMES[1:]]
    model = BY_NAME["detr"].build()
    model.config.id2label = dict(enumerate(names))
    detector = wrap(model, processor=BY_NAME["detr"].options["processor"])
    assert detector.categories == ("__background__", *(names[1:] if first == "N/A" else names))
    assert len(detector.categories) == categories
    trace = detector.trace(PICTURE)
    own = trace.logits.softmax(dim=1)[:, :-1].detach()
    torch.testing.assert_close(trace.candidates.class_probs[:, 1:], own[:, 6 - categories :])
    rows = trace.detections(0.05)
    column = rows.labels if first == "N/A" else rows.labels - 1
    torch.testing.assert_close(trace.targets("logit", rows), trace.logits[rows.index, column])


@pytest.mark.parametrize("name", BY_NAME)
def test_pictures_are_prepared_as_by_the_processor(name: str) -> None:
    """What the network is given equals what the processor makes of the uint8 picture, to one grey level."""
    detector = detector_of(name)
    given: list[torch.Tensor] = []
    handle = detector.model.register_forward_pre_hook(
        lambda _, __, named: given.append(named["pixel_values"].detach()), with_kwargs=True
    )
    detector.detect(PICTURE_U8 / 255)
    handle.remove()
    theirs = detector.processor(images=[PICTURE_U8], return_tensors="pt")["pixel_values"]
    assert float((given[0] - theirs).abs().max()) < 1.01 / 255 / (
        min(detector.processor.image_std) if detector.processor.do_normalize else 1
    )


def test_default_processors_are_the_families() -> None:
    for case in CASES:
        detector = wrap(case.build())
        assert type(detector.processor) is type(case.options["processor"])
        assert detector.categories[1] == "LABEL_0"


def test_what_is_no_detector_is_refused() -> None:
    headless = BY_NAME["detr"].build().model
    with pytest.raises(TypeError, match="DetrModel has no detection head that is known: load one of DetrForObject"):
        wrap(headless)
    with pytest.raises(TypeError, match="processor is a dict: give one of tensors that reads detections"):
        wrap(BY_NAME["detr"].build(), processor={})
    with pytest.raises(TypeError, match="DetrImageProcessorPil"):
        wrap(BY_NAME["detr"].build(), processor=transformers.DetrImageProcessorPil())


def test_an_absurd_picture_is_refused() -> None:
    for name in ("detr", "yolos"):
        with pytest.raises(ValueError, match="too elongated"):
            detector_of(name).detect(torch.rand(3, 1, 2000))


def saved(folder: Path, name: str = "rt_detr") -> tuple[Path, Detector]:
    case = BY_NAME[name]
    model = case.build()
    model.save_pretrained(folder)
    case.options["processor"].save_pretrained(folder)
    return folder, wrap(model, **case.options)


@pytest.mark.parametrize("name", ["rt_detr", "deformable_detr_two_stage", "yolos", "detr"])
def test_a_checkpoint_loads_by_its_folder(tmp_path: Path, name: str) -> None:
    folder, detector = saved(tmp_path / "mine", name)
    loaded = load_detector(f"hf:{folder}", "cpu")
    assert loaded.name == "mine" and not any(each.requires_grad for each in loaded.model.parameters())
    one, other = (each.detect(PICTURE, 0.05) for each in (loaded, detector))
    torch.testing.assert_close(one.boxes, other.boxes)
    assert len(loaded.card["sha256"]["model.safetensors"]) == 64 and loaded.card["source"] == str(folder)


def test_checkpoints_that_cannot_be_trusted_or_used_are_refused(tmp_path: Path, monkeypatch) -> None:
    folder, _ = saved(tmp_path / "mine")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["RTDetrModel"]}), encoding="utf-8")
    with pytest.raises(ValueError, match="checkpoint of RTDetrModel, without a detection head"):
        load_detector(f"hf:{folder}")
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="no weights as safetensors, and a pickle is not read"):
        load_detector(f"hf:{folder}")
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        load_detector(f"hf:{tmp_path}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=r"nobody/nothing could not be fetched .* put them into a folder"):
        load_detector("hf:nobody/nothing")
    with pytest.raises(ValueError, match="neither a folder nor a name"):
        load_detector("hf:a/b/c/d")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff\xfe{}", b'{"architectures": 5}', b'{"architectures": [5]}']
)
def test_damaged_settings_are_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json is damaged.*write it anew|checkpoint of nothing"):
        load_detector(f"hf:{tmp_path}")


def test_damaged_weights_and_processors_are_refused_by_name(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "mine", "detr")
    for name in ("model.safetensors", "preprocessor_config.json", "config.json"):
        content = (folder / name).read_bytes()
        for damaged in (b"", content[: len(content) // 2], b"[1]", b"\xff" * 100):
            (folder / name).write_bytes(damaged)
            with pytest.raises(ValueError, match=r"mine.*(cannot be loaded|is damaged).*write it anew") as caught:
                load_detector(f"hf:{folder}", "cpu")
            assert "\n" not in str(caught.value)
        (folder / name).write_bytes(content)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"d_model": "wide"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine cannot be loaded .*write it anew"):
        load_detector(f"hf:{folder}", "cpu")


def test_weights_of_the_hub_are_those_they_are_stored_by(tmp_path: Path, monkeypatch) -> None:
    folder, _ = saved(tmp_path / "snapshot", "detr")
    weights = folder / "model.safetensors"
    stored = tmp_path / hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.rename(stored)
    weights.symlink_to(stored)
    monkeypatch.setattr(hub, "_fetch", lambda name: folder)
    load_detector("hf:some/one", "cpu")
    content = bytearray(stored.read_bytes())
    content[-9] ^= 1
    stored.write_bytes(content)
    with pytest.raises(ValueError, match=r"are damaged \(sha256 .*delete the file and load some/one again"):
        load_detector("hf:some/one", "cpu")


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    folder, detector = saved(tmp_path / "mine", "detr")
    state = {key: value for key, value in detector.model.state_dict().items() if "classifier" not in key}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lacks weights of its detector \(class_labels_classifier"):
        load_detector(f"hf:{folder}")

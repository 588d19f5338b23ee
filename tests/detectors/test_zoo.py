"""Weights by name: bundled, published, damaged, out of reach."""

import hashlib
import json
import shutil
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import WeightsEnum, detection

from odam_lib import load_detector
from odam_lib.datasets.scenes import Scenes, ShortcutScenes
from odam_lib.detectors import of_torchvision, zoo
from odam_lib.detectors.weights import fetch_published, name_weights, read_card
from odam_lib.files import data_root
from odam_lib.metrics.detection import measure_ap

LEAST_AP50 = {"detr-scenes": 0.75, "yolov3-tiny": 0.29}


def test_every_bundled_detector_has_a_card_that_fits_its_weights() -> None:
    for name, entry in zoo.ZOO.items():
        if isinstance(entry, zoo.Bundled):
            path = data_root() / "weights" / f"{name}.safetensors"
            card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            made = {"source", "license", "sha256_before"} if name == "yolov3-tiny" else {"seed", "hours"}
            assert {"command", "data", "AP50", "AP", "measured_on", "parameters"} | made <= card.keys()
            assert card["AP50"] >= LEAST_AP50.get(name, 0.75 if "crowd" in name else 0.88)
            assert card["parameters"] == sum(p.numel() for p in zoo.build_detector(name).model.parameters())
    assert sum(path.stat().st_size for path in (data_root() / "weights").glob("*.safetensors")) < 52_000_000


def test_a_detector_is_of_the_bundled_weights_until_one_of_them_changes() -> None:
    """Also with weights that it shares with another one, and in half precision, as they are stored."""
    for name in ("fcos-crowd-odam", "detr-scenes"):
        detector = load_detector(name, "cpu")
        assert name_weights(detector) == read_card(name)["sha256"]
        detector.model.half()
        assert name_weights(detector) == read_card(name)["sha256"]
        with torch.no_grad():
            next(detector.model.parameters()).flatten()[0] += 1
        assert len(name_weights(detector)) == 8
        detector.name = "own"
        assert len(name_weights(detector)) == 8


def test_cards_tell_what_the_weights_reach(held_out) -> None:
    """Measured again on the first of the card's held-out scenes; a sample, hence the margin."""
    others = {"crowd": Scenes("val", 12, "crowd"), "shortcut": ShortcutScenes("val", 12, "street")}
    drawn = {kind: [scenes[item] for item in range(len(scenes))] for kind, scenes in others.items()}
    for name, entry in zoo.ZOO.items():
        if isinstance(entry, zoo.Bundled) and name != "yolov3-tiny":  # measured on photographs: test_yolo
            card = read_card(name)
            shown = next((items for kind, items in drawn.items() if kind in name), held_out)
            reached = measure_ap(load_detector(name, "cpu"), shown[:24])["AP50"]
            assert abs(reached - card["AP50"]) < 0.08, (name, reached, card["AP50"])


def test_the_list_names_every_detector_with_its_source(capsys) -> None:
    lines = zoo.format_table().splitlines()
    assert [line.split()[0] for line in lines] == ["name", *zoo.ZOO]
    listed = dict(zip(zoo.ZOO, lines[1:]))
    assert "bundled" in listed["fcos-scenes"] and "95.7" in listed["fcos-scenes"]
    assert "torchvision COCO_V1" in listed["fasterrcnn_mobilenet_v3_large_fpn"]
    assert "19.4 M" in listed["fasterrcnn_mobilenet_v3_large_fpn"]


@pytest.mark.parametrize("name", [name for name, entry in zoo.ZOO.items() if not isinstance(entry, zoo.Bundled)])
def test_full_size_models_are_built_offline_with_the_parameters_that_are_listed(name: str) -> None:
    entry, detector = zoo.ZOO[name], zoo.build_detector(name)
    norms = [module for module in detector.model.modules() if isinstance(module, nn.BatchNorm2d)]  # frozen, not counted
    total = sum(parameter.numel() for parameter in detector.model.parameters())
    total -= sum(parameter.numel() for norm in norms for parameter in norm.parameters())
    assert total == getattr(entry, "parameters", total)
    assert detector.model.transform.min_size == ((320,) if "320" in name else (800,))
    detector.model.transform.min_size = (224,)
    trace = detector.trace(torch.rand(3, 96, 128))
    height, width = trace.input_size
    if not trace.regional:
        for features, grid in zip(trace.features, trace.grids):
            assert grid.dx * features.shape[-1] >= width and grid.dy * features.shape[-2] >= height
            assert grid.dx * (features.shape[-1] - 2) < width + 32


@pytest.mark.parametrize("name", [name for name in zoo.ZOO if "source='torchvision" in repr(zoo.ZOO[name])])
def test_published_weights_mean_the_same_as_in_torchvisions_own_model(name: str, monkeypatch) -> None:
    """torchvision's builder and ours, given one state: norms, their epsilon, resize and pyramid must agree."""
    ours = zoo.build_detector(name).model
    for norm in ours.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_var, 1e-4, 2e-4)  # small, so that an epsilon would be seen
            nn.init.uniform_(norm.weight, 0.005, 0.01)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: ours.state_dict())
    theirs = getattr(detection, name)(weights="COCO_V1").eval()
    assert theirs.transform.min_size == ours.transform.min_size and theirs.transform.max_size == ours.transform.max_size
    picture = torch.rand(1, 3, 96, 128)
    with torch.no_grad():
        expected = theirs.backbone(picture)
        for key, level in ours.backbone(picture).items():
            torch.testing.assert_close(level, expected[key], rtol=1e-3, atol=1e-5 * expected[key].abs().max().item())


@pytest.mark.parametrize(
    "name", ["retinanet_resnet50_fpn", "keypointrcnn_resnet50_fpn", "ssd300_vgg16", "ssdlite320_mobilenet_v3_large"]
)
def test_torchvisions_own_detectors_load_by_name(name: str, monkeypatch) -> None:
    """Given one state, our model of published weights and torchvision's own say the same."""
    theirs = getattr(detection, name)(weights=None, weights_backbone=None)
    state = theirs.state_dict() | {key: value + 1e-4 for key, value in theirs.state_dict().items() if "var" in key}
    monkeypatch.setattr(of_torchvision, "fetch_published", lambda _: state)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: state)
    theirs = getattr(detection, name)(weights="COCO_V1").eval()
    ours = load_detector(f"torchvision:{name}", "cpu")
    assert ours.categories[:2] == ("__background__", "person") and not ours.model.training
    picture = torch.rand(1, 3, 300, 300)
    with torch.no_grad():
        expected = theirs.backbone(picture)
        for key, level in ours.model.backbone(picture).items():
            torch.testing.assert_close(level, expected[key], rtol=1e-3, atol=1e-5 * expected[key].abs().max().item())


def test_names_that_torchvision_does_not_publish_are_refused() -> None:
    with pytest.raises(ValueError, match="torchvision has no detector 'resnet50': choose among fasterrcnn_"):
        load_detector("torchvision:resnet50")


def test_names_without_weights_say_so() -> None:
    with pytest.raises(ValueError, match="Nobody publishes weights of a detector retinanet_pvt_v2_b0_fpn"):
        load_detector("retinanet_pvt_v2_b0_fpn")


def test_damaged_weights_are_refused(tmp_path, monkeypatch) -> None:
    shutil.copytree(data_root() / "weights", tmp_path / "weights")
    monkeypatch.setenv("ODAM_DATA", str(tmp_path))
    load_detector("fcos-scenes")
    path = tmp_path / "weights" / "fcos-scenes.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"fcos-scenes\.safetensors are damaged .*git checkout"):
        load_detector("fcos-scenes")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"fcos-scenes\.safetensors is missing"):
        load_detector("fcos-scenes")


def test_unknown_names_and_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown detector 'yolo': choose among fcos-scenes"):
        load_detector("yolo")
    with pytest.raises(ValueError, match="device 'gpu0' is not usable"):
        load_detector("fcos-scenes", device="gpu0")


def test_without_a_network_the_error_says_what_to_put_where(tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(FileNotFoundError) as caught:
        load_detector("fcos_resnet50_fpn")
    with pytest.raises(FileNotFoundError, match=r"get https://.*/ssd300_vgg16_coco-b556d3b4\.pth and put it at"):
        load_detector("torchvision:ssd300_vgg16")
    message = str(caught.value)
    assert "https://download.pytorch.org/models/fcos_resnet50_fpn_coco-99b0c9b7.pth" in message
    assert str(tmp_path / "checkpoints" / "fcos_resnet50_fpn_coco-99b0c9b7.pth") in message
    assert "99b0c9b7" in message


def test_published_weights_are_fetched_once_and_checked(tmp_path, monkeypatch) -> None:
    torch.save({"bias": torch.ones(3)}, tmp_path / "weights.pth")
    content = (tmp_path / "weights.pth").read_bytes()
    served = tmp_path / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    served.write_bytes(content)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    url = served.as_uri()
    assert fetch_published(url)["bias"].tolist() == [1, 1, 1]
    served.unlink()
    assert fetch_published(url)["bias"].tolist() == [1, 1, 1]
    (tmp_path / "hub" / "checkpoints" / served.name).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="are damaged"):
        fetch_published(url)

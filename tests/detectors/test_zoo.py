"""Weights by name: bundled, published, damaged, out of reach."""

import hashlib
import json
import shutil
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch

from odam_lib import data_root, load_detector
from odam_lib.detectors import zoo


def test_every_bundled_detector_has_a_card_that_fits_its_weights() -> None:
    for name, entry in zoo.ZOO.items():
        if isinstance(entry, zoo.Bundled):
            path = data_root() / "weights" / f"{name}.safetensors"
            card = json.loads(path.with_suffix(".json").read_text())
            assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert path.stat().st_size < 3_000_000
            assert {"command", "seed", "data", "hours", "AP50", "parameters"} <= card.keys()


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
    weights = SimpleNamespace(url=served.as_uri())
    assert zoo._published_state(weights)["bias"].tolist() == [1, 1, 1]
    served.unlink()
    assert zoo._published_state(weights)["bias"].tolist() == [1, 1, 1]
    (tmp_path / "hub" / "checkpoints" / served.name).write_bytes(b"damaged")
    with pytest.raises(ValueError, match="are damaged"):
        zoo._published_state(weights)

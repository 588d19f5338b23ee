"""What is known of pictures before they are decoded: the truth, and enough to refuse what is cut off."""

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from handmade_datasets import WRITERS, draw
from PIL import Image

from odam_lib import images
from odam_lib.datasets.opening import open_dataset
from odam_lib.datasets.part import Part
from odam_lib.datasets.pictures import outline
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.targets import check_examples
from odam_lib.images import load_image, measure_picture
from odam_lib.training import DetectorSettings, train_detector

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
TURNED = Image.Exif()
TURNED[0x0112] = 6  # a quarter


@pytest.fixture(params=[name for name in WRITERS if name != "json"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    WRITERS[request.param](tmp_path)
    return tmp_path


def undecodable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_seen", lambda *_, **__: pytest.fail("a picture was decoded"))


def test_an_outline_is_that_of_the_item(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = open_dataset(str(place), split="train")
    for dataset in (whole, Part(whole, [1])):
        examples = [dataset[item] for item in range(len(dataset))]
        with monkeypatch.context() as patched:
            undecodable(patched)
            check_examples(dataset, dataset.categories)
            outlines = [outline(dataset, item) for item in range(len(dataset))]
        for (image, target), (size, known) in zip(examples, outlines):
            assert size == image.shape[-2:] and known.keys() == target.keys() - {"masks"}
            for key, value in known.items():
                assert torch.equal(value, target[key]) if isinstance(value, torch.Tensor) else value == target[key]
        with pytest.raises(IndexError, match="does not exist"):
            outline(dataset, len(dataset))


def test_drawings_have_no_outline() -> None:
    assert outline(Part(Scenes("val", 2), [0]), 0) is None


def spoil(path: Path, kind: str, damage: Callable[[bytes], bytes]) -> None:
    Image.fromarray(NOISE).save(path, format=kind)
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize("kind", ["jpeg", "png", "bmp", "gif", "tiff", "webp", "ppm"])
def test_a_picture_that_was_cut_off_is_refused_as_decoding_it_would(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.picture"
    spoil(path, kind, lambda content: content)
    assert measure_picture(path, "mend it") == NOISE.shape[:2]
    for lost in (1, 2, 3, 12, 13, 40, 400):
        spoil(path, kind, lambda content, lost=lost: content[:-lost])
        try:
            load_image(path)  # of some formats Pillow does without the last bytes
        except ValueError:
            with pytest.raises(ValueError, match=r"a\.picture cannot be read as a picture \(.*\): mend it"):
                measure_picture(path, "mend it")


def test_what_is_whole_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undecodable(monkeypatch)
    for name in ("a.jpg", "a.png"):
        for more, size in (({}, (40, 60)), ({"exif": TURNED}, (60, 40))):
            Image.fromarray(NOISE).save(tmp_path / name, **more)
            assert measure_picture(tmp_path / name, "", (60, 40), upright=True) == size
            assert measure_picture(tmp_path / name, "", (60, 40)) == (40, 60)
    with pytest.raises(ValueError, match="has 60 x 40 pixels, its annotation says 40 x 60: mend it"):
        measure_picture(tmp_path / "a.png", "mend it", (40, 60))


def test_what_the_header_does_not_tell_is_decoded(tmp_path: Path) -> None:
    """A tag behind the pixels that turns a PNG, bytes behind a JPEG's end, numbers of which white is unknown."""
    tag = b"eXIf" + TURNED.tobytes()[6:]  # without the mark that JPEG wants
    chunk = (len(tag) - 4).to_bytes(4) + tag + crc32(tag).to_bytes(4)
    spoil(tmp_path / "late.png", "png", lambda content: content[:-12] + chunk + content[-12:])
    spoil(tmp_path / "more.jpg", "jpeg", lambda content: content + bytes(9))
    for name in ("late.png", "more.jpg"):
        size = measure_picture(tmp_path / name, "", upright=True)
        assert size == load_image(tmp_path / name).shape[-2:]
    Image.fromarray(NOISE[..., 0].astype(np.uint16) * 8).save(tmp_path / "deep.png")  # of 12 bits in 16
    with pytest.raises(ValueError, match=r"deep\.png cannot be read as a picture \(none of its numbers reaches"):
        measure_picture(tmp_path / "deep.png", "")


def test_damage_is_named_before_the_first_step_or_when_the_training_comes_to_it(place: Path) -> None:
    dataset = open_dataset(str(place), split="train")
    settings = DetectorSettings(number=2, batch_size=1, epochs=2, dataset=str(place), precision="float32")
    path = next(place.rglob(f"{draw('train')[0][0]}.jpg"))
    whole, run = path.read_bytes(), place / "run"
    run.mkdir()

    def train() -> None:
        train_detector(settings, dataset, run, "cpu", checkpoint_every=1, progress=False)

    path.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read as a picture"):
        train()
    assert not list(run.iterdir())
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(100) + whole[middle + 100 :])
    with pytest.raises(ValueError, match=rf"{path.name} cannot be read as a picture"):
        train()
    path.write_bytes(whole)
    train()
    assert torch.load(run / "checkpoint.pt", weights_only=True)["step"] == settings.steps

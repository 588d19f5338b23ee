"""Pictures of any kind are read as they are meant to be seen."""

import numpy as np
import pytest
import torch
from PIL import Image

from odam_lib.images import from_pil, load_image, to_uint8


def test_exif_rotation_is_applied(tmp_path) -> None:
    upright = np.zeros((40, 20, 3), np.uint8)
    upright[:10] = (255, 0, 0)
    stored = Image.fromarray(np.rot90(upright).copy())  # lies on its left side
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    image = load_image(tmp_path / "phone.jpg")
    assert image.shape == (3, 40, 20)
    assert image[0, 2:8].mean() > 0.9 and image[0, 14:].mean() < 0.1


def test_transparency_is_laid_over_white(tmp_path) -> None:
    for mode, colour in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        Image.new(mode, (4, 3), colour).save(tmp_path / "clear.png")
        assert (load_image(tmp_path / "clear.png") == 1).all()
    half = Image.new("RGBA", (4, 3), (0, 0, 0, 128))
    assert from_pil(half).mean().item() == pytest.approx(127 / 255, abs=0.01)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "YCbCr", "HSV", "RGB"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = from_pil(Image.new("RGB", (5, 4), "white").convert(mode))
    assert image.shape == (3, 4, 5) and image.dtype == torch.float32
    assert image.mean() > 0.98


def test_sixteen_bit_grey_keeps_its_shades(tmp_path) -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(1, 64).repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    image = load_image(tmp_path / "deep.png")
    np.testing.assert_allclose(image[1, 0].numpy(), ramp[0] / 65535, atol=0.01)
    dark = np.full((4, 4), 200, np.uint16)
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert load_image(tmp_path / "dark.png").max() < 0.01


def test_huge_pictures_are_reduced_only_when_asked(tmp_path) -> None:
    Image.new("RGB", (3000, 30), "red").save(tmp_path / "long.png")
    assert load_image(tmp_path / "long.png").shape == (3, 30, 3000)
    assert load_image(tmp_path / "long.png", max_side=1000).shape == (3, 10, 1000)
    assert load_image(tmp_path / "long.png", max_side=20).shape == (3, 1, 20)


def test_to_uint8_inverts_loading(tmp_path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    assert (to_uint8(load_image(tmp_path / "noise.png")) == pixels).all()


def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "good.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:300])
    (tmp_path / "text.png").write_text("not a picture", encoding="utf-8")
    (tmp_path / "empty.png").touch()
    for name in ("cut.jpg", "text.png", "empty.png"):
        with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture"):
            load_image(tmp_path / name)
    for name in ("absent.png", "."):
        with pytest.raises(FileNotFoundError, match="no picture at"):
            load_image(tmp_path / name)
    with pytest.raises(ValueError, match="max_side is 0"):
        load_image(tmp_path / "good.jpg", max_side=0)

"""Pictures of any kind are read as they are meant to be seen."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from odam_lib.datasets.crowdhuman import CrowdHuman
from odam_lib.datasets.opening import open_dataset
from odam_lib.images import from_pil, load_image, stored_picture, to_uint8


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
    Image.fromarray(ramp // 8).save(tmp_path / "dark.png")
    assert load_image(tmp_path / "dark.png").max() == pytest.approx(1 / 8, abs=0.01)
    Image.fromarray(ramp * 0).save(tmp_path / "black.png")
    assert not load_image(tmp_path / "black.png").any()


RAMP = np.linspace(0, 1, 64).reshape(1, 64).repeat(4, 0)
LONG, SHORT = 4, 3  # TIFF's types


def tiff(values: np.ndarray, bits: int, kind: int = 1, polarity: int = 1) -> bytes:
    """An uncompressed TIFF of samples of the kinds 1 without sign, 2 with, 3 floating point; polarity 0: 0 is white."""
    height, width, *channels = values.shape
    count, data = int(np.prod(channels)), values.tobytes()
    if bits == 12:
        pairs = values.reshape(-1, 2).astype(int)
        data = b"".join(((a << 12) | b).to_bytes(3, "big") for a, b in pairs.tolist())
    entries = {256: [width], 257: [height], 258: [bits] * count, 259: [1], 262: [2 if channels else polarity], 273: [0],
               277: [count], 278: [height], 279: [len(data)], 339: [kind] * count}  # fmt: skip
    beyond, after = b"", 8 + 2 + 12 * len(entries) + 4
    entries[273] = [after + 12 * bool(channels)]
    head = b""
    for tag, numbers in entries.items():
        long = tag in (273, 279)
        raw = struct.pack(f"<{len(numbers)}{'I' if long else 'H'}", *numbers)
        if len(raw) > 4:
            raw, beyond = struct.pack("<I", after + len(beyond)), beyond + raw
        head += struct.pack("<HHI", tag, LONG if long else SHORT, len(numbers)) + raw.ljust(4, b"\0")
    return (
        b"II*\0"
        + struct.pack("<IH", 8, len(entries))
        + head
        + bytes(4)
        + beyond.ljust(12 * bool(channels), b"\0")
        + data
    )


def png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a sample, grey or of 2, 3 or 4 channels."""
    height, width, *channels = values.shape
    colours = {(): 0, (2,): 4, (3,): 2, (4,): 6}[tuple(channels)]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def grey(white: float, kind: type = np.uint16) -> np.ndarray:
    return (RAMP * white).astype(kind)


def colours(white: float, *others: float) -> np.ndarray:
    """RGB, perhaps with transparency."""
    channels = [grey(white)] * 3 + [np.full_like(grey(1), other) for other in others]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize(
    "content",
    [
        tiff(grey(1, np.float32), 32, kind=3),
        tiff(grey(65535), 16),
        tiff(65535 - grey(65535), 16, polarity=0),
        tiff(1 - grey(1, np.float32), 32, kind=3, polarity=0),
        tiff(grey(4095), 12),
        tiff(colours(65535), 16),
        png(grey(65535)),
        png(colours(65535)),
        png(colours(65535, 65535)),
        b"P5 64 4 4095 " + grey(4095).astype(">u2").tobytes(),
        b"P5 64 4 65535 " + grey(65535).astype(">u2").tobytes(),
        b"P6 64 4 4095 " + colours(4095).astype(">u2").tobytes(),
        b"Pf 64 4 -1.0 " + grey(1, np.float32).tobytes(),
    ],
)
def test_white_is_what_the_file_says(content: bytes, tmp_path) -> None:
    (tmp_path / "ramp").write_bytes(content)
    image = load_image(tmp_path / "ramp")
    assert image.shape == (3, 4, 64)
    for channel in image:
        np.testing.assert_allclose(channel.numpy(), RAMP, atol=0.01)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png(grey(4095)), "none of its numbers reaches a sixteenth of 65535"),
        (png(grey(1023)), "none of its numbers reaches a sixteenth"),
        (png(grey(255)), "none of its numbers reaches a sixteenth"),
        (tiff(grey(4095), 16), "none of its numbers reaches a sixteenth"),
        (tiff(grey(4095), 16, polarity=0), "none of its numbers reaches a sixteenth"),
        (tiff(grey(255), 12), "none of its numbers reaches a sixteenth of 4095"),
        (tiff(colours(4095), 16), "none of its numbers reaches a sixteenth"),
        (png(colours(4095)), "none of its numbers reaches a sixteenth"),
        (png(colours(255)), "none of its numbers reaches a sixteenth"),
        (png(colours(4095, 65535)), "none of its numbers reaches a sixteenth"),
        (png(colours(4095, 4095)), "none of its numbers reaches a sixteenth"),
        (png(colours(4095)[..., :2]), "none of its numbers reaches a sixteenth"),
        (b"P5 64 4 65535 " + grey(4095).astype(">u2").tobytes(), "none of its numbers reaches a sixteenth"),
        (b"P6 64 4 65535 " + colours(4095).astype(">u2").tobytes(), "none of its numbers reaches a sixteenth"),
        (tiff(grey(255, np.float32), 32, kind=3), r"its numbers span \[0, 255\], and white is 1"),
        (tiff(grey(-0.5, np.float32), 32, kind=3), r"its numbers span \[-0.5, "),
        (tiff(np.full((4, 64), np.nan, np.float32), 32, kind=3), "numbers that are not finite"),
        (tiff(np.full((4, 64), np.inf, np.float32), 32, kind=3), "numbers that are not finite"),
        (tiff(grey(30000, np.int16), 16, kind=2), "integers with a sign or of 32 bits"),
        (tiff(grey(2**31, np.uint32), 32), "integers with a sign or of 32 bits"),
        (tiff(grey(2**30, np.int32), 32, kind=2), "integers with a sign or of 32 bits"),
    ],
)
def test_a_picture_that_does_not_say_what_white_is_refused(content: bytes, why: str, tmp_path) -> None:
    (tmp_path / "ramp.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"ramp\.png cannot be read as a picture \(.*{why}.*\): give"):
        load_image(tmp_path / "ramp.png")
    with pytest.raises(ValueError, match=rf"ramp\.png cannot be read as a picture \(.*{why}.*\): mend it"):
        stored_picture(tmp_path / "ramp.png", 4, 64, "mend it")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "content",
    [
        POSTSCRIPT,
        b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(POSTSCRIPT)) + bytes(20) + POSTSCRIPT,
        b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<5h", 0, 0, 10, 10, 100) + bytes(6) + b"\1\0\t\0" + bytes(40),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.eps"])
def test_only_pixels_are_opened_whatever_the_name(content: bytes, name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("Ghostscript was called"))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture \(cannot identify"):
        load_image(tmp_path / name)


def bomb(side: int) -> bytes:
    """A PNG that claims to be huge and holds one line."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(3 * side + 1))), (b"IEND", b""))
    written = (struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
               for name, data in chunks)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def coco(root: Path, side: int) -> None:
    record = {"id": 1, "file_name": "a.jpg", "width": side, "height": side}
    one = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "segmentation": [[0, 0, side, 0, side, side]]}
    content = {"images": [record], "categories": [{"id": 1, "name": "cow"}], "annotations": [one]}
    (root / "a.json").write_text(json.dumps(content), encoding="utf-8")


def voc(root: Path, side: int) -> None:
    corners = "<xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax>"
    (root / "a.xml").write_text(
        f"<annotation><size><width>{side}</width><height>{side}</height></size><object><name>cow</name>"
        f"<bndbox>{corners}</bndbox></object></annotation>",
        encoding="utf-8",
    )


def yolo(root: Path, side: int) -> None:
    for name, text in (("classes.txt", "cow"), ("labels/a.txt", "0 0.5 0.5 1 1")):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def crowdhuman(root: Path, side: int) -> None:
    person = {"tag": "person", "fbox": [0, 0, 5, 5], "vbox": [0, 0, 5, 5], "hbox": [0, 0, 5, 5]}
    (root / "annotation_val.odgt").write_text(json.dumps({"ID": "a", "gtboxes": [person]}), encoding="utf-8")


FORMATS: dict[str, tuple[Callable, str, Callable]] = {
    "coco": (coco, "a.jpg", lambda root: open_dataset("coco", root, f"{root}/a.json")),
    "voc": (voc, "a.jpg", lambda root: open_dataset("voc", root)),
    "yolo": (yolo, "images/a.jpg", lambda root: open_dataset("yolo", root)),
    "crowdhuman": (crowdhuman, "Images/a.jpg", lambda root: CrowdHuman(root, "val")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_bomb_in_a_data_set_is_refused_by_its_header_with_its_path(name: str, tmp_path, monkeypatch) -> None:
    write, picture, opened = FORMATS[name]
    (tmp_path / picture).parent.mkdir(exist_ok=True)
    (tmp_path / picture).write_bytes(bomb(20_000))
    write(tmp_path, 20_000)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match=rf"{picture} cannot be read as a picture \(.*exceeds limit"):
        opened(tmp_path)[0]


@pytest.mark.parametrize("name", ["coco", "voc"])
@pytest.mark.parametrize("side", [11, 10**9])
def test_a_size_that_differs_is_refused_when_data_are_opened(name: str, side: int, tmp_path, monkeypatch) -> None:
    write, picture, opened = FORMATS[name]
    Image.new("RGB", (10, 10)).save(tmp_path / picture)
    write(tmp_path, side)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match=rf"a\.jpg has 10 x 10 pixels, its annotation says {side} x {side}"):
        opened(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_the_home_folder_may_be_written_as_a_tilde(name: str, tmp_path, monkeypatch) -> None:
    write, picture, opened = FORMATS[name]
    (tmp_path / picture).parent.mkdir(exist_ok=True)
    Image.new("RGB", (10, 10), "red").save(tmp_path / picture)
    write(tmp_path, 10)
    monkeypatch.setenv("HOME", str(tmp_path))
    image, target = opened("~")[0]
    assert len(target["boxes"]) == 1 and torch.equal(load_image(f"~/{picture}"), image)


def test_paths_that_cannot_be_are_refused_in_one_sentence(tmp_path) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    for path in (None, 5, torch.zeros(3, 4, 4)):
        with pytest.raises(TypeError, match="The path is of the type"):
            load_image(path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="There is no home folder for ~nobody-of-that-name"):
        load_image("~nobody-of-that-name/a.png")
    for path in ("a" * 5000, "a\0b"):
        with pytest.raises(FileNotFoundError, match="There is no picture at"):
            load_image(path)
    for side in (2.5, "4", True):
        with pytest.raises(TypeError, match="max_side is"):
            load_image(tmp_path / "a.png", max_side=side)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore")  # Pillow's, about the damage
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp", "webp", "ppm"])
def test_a_damaged_picture_gives_one_sentence_or_a_picture(suffix: str, tmp_path) -> None:
    path, rng = tmp_path / f"a.{suffix}", np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    for _ in range(60):
        spoiled = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 200), 3):
            spoiled[place] = rng.integers(256)
        path.write_bytes(spoiled[: rng.integers(1, len(whole) + 1)])
        try:
            assert load_image(path, max_side=8).shape[0] == 3
        except ValueError as error:
            assert str(path) in str(error)


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

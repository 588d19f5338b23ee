"""Files that are damaged, foreign or cannot be written: one sentence with the path, and what was there stays."""

import errno
import gzip
import json
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from odam_chapters.attention.claims import read_looked
from odam_chapters.charts import draw_training_curves
from odam_chapters.crowds.embeddings import load_embedder
from odam_chapters.crowds.results import CrowdResults
from odam_chapters.errors.survey import read_mistakes, write_mistakes
from odam_chapters.judging.leaks import read_leaks
from odam_chapters.judging.own_masks import read_rows as read_own_masks
from odam_chapters.odam_train.sweep import read_outcomes
from safetensors.torch import save_file
from torch import nn

from odam_lib import HeatMaps, explain, load_detector
from odam_lib.datasets.cached import KEPT, Cached
from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.scenes.export import export
from odam_lib.detectors import zoo
from odam_lib.detectors.trained import describe_detector
from odam_lib.detectors.weights import load_weights, read_card, save_state, save_weights
from odam_lib.evaluation.rows import Evaluation
from odam_lib.files import data_root, output_folder, sha256, write_rows
from odam_lib.sealed import load_sealed, save_sealed
from odam_lib.training import DetectorSettings
from odam_lib.training.runs import CHECKPOINT, Run
from odam_lib.viz.drawing import save_png
from odam_lib.viz.plots import show_map
from odam_lib.viz.standalone import write_figure

BIG = 1 << 16


@pytest.fixture(scope="module")
def maps() -> HeatMaps:
    detector, image = load_detector("fcos-scenes", "cpu"), Scenes("val", 1)[0][0]
    found = explain(detector, image)
    assert len(found)
    return found


# Reading


def read_checkpoint(path: Path) -> None:
    model = nn.Linear(8, 8)
    Run(path.parent, DetectorSettings()).resume(model, torch.optim.AdamW(model.parameters()))


def write_checkpoint(path: Path) -> None:
    model = nn.Linear(8, 8)
    run = Run(path.parent, DetectorSettings())
    run.log(0, 0.1, {"loss": 1.0})
    run.save(1, model, torch.optim.AdamW(model.parameters()))


def write_cache(path: Path) -> None:
    Cached(Scenes("train", 2, None, 64), path, workers=0)


def copied(name: str) -> Callable[[Path], object]:
    return lambda path: shutil.copy(data_root() / name, path)


def losses(path: Path) -> None:
    write_rows(path, [{"step": 0, "epoch": 0.0, "lr": 0.1, "loss": 1.0}])


def write_trained(path: Path) -> None:
    detector = zoo.ARCHITECTURES["fcos"](path.stem, ("__background__", "dog"))
    save_weights(detector, describe_detector(detector, "fcos"), path.parent)


READERS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any]]] = {
    "checkpoint": (CHECKPOINT, write_checkpoint, read_checkpoint),
    "cache": ("scenes.pt", write_cache, lambda path: Cached(Scenes("train", 2, None, 64), path)),
    "crowds": ("a.safetensors.xz", copied("evaluation/crowd-results.safetensors.xz"), CrowdResults.load),
    "mistakes": ("a.csv.gz", copied("evaluation/distractors.csv.gz"), read_mistakes),
    "outcomes": ("a.csv", copied("evaluation/odam-train-fcos.csv"), read_outcomes),
    "own masks": ("a.csv", copied("evaluation/own-masks-yolov3-tiny.csv"), read_own_masks),
    "claims": ("a.csv.gz", copied("evaluation/detr-claims.csv.gz"), read_looked),
    "leaks": ("a.csv.gz", copied("evaluation/leaks.csv.gz"), read_leaks),
    "trained": ("a.safetensors", write_trained, lambda path: load_detector(path, "cpu")),
    "card": ("a.json", write_trained, lambda path: load_detector(path.parent, "cpu")),
    "losses": ("log.csv", losses, lambda path: draw_training_curves(path, path.with_suffix(".png"))),
    "compressed losses": ("log.csv.gz", losses, lambda path: draw_training_curves(path, path.with_suffix(".png"))),
}
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "cut off": lambda content: content[: len(content) // 2 + 1],
    "zeros": lambda content: bytes(len(content)),
    "UTF-16": lambda content: "step,loss\n1,2\n".encode("utf-16"),
    "Latin-1": lambda content: b"M\xfcller,stra\xdfe\n1,2\n",
    "JSON list": lambda content: b"[1, 2]",
    "deep JSON": lambda content: b"[" * 100_000,
    "page": lambda content: b"<!doctype html><p>404",
}


def refuses(read: Callable[[Path], Any], path: Path) -> None:
    """Reading ends with one sentence that names the file."""
    with pytest.raises((ValueError, OSError)) as caught:
        read(path)
    said = str(caught.value)
    assert path.name in said and "\n" not in said and len(said) < 400, said


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", [*READERS, "maps"])
def test_damaged_files_are_refused_by_name(kind: str, damage: str, tmp_path: Path, maps: HeatMaps) -> None:
    name, write, read = READERS.get(kind, ("maps.safetensors", maps.save, HeatMaps.load))
    path = tmp_path / name
    write(path)
    read(path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    if not (kind in ("mistakes", "outcomes", "own masks") and damage == "cut off"):  # perhaps a row less
        refuses(read, path)
    path.unlink()
    path.mkdir()
    refuses(read, path)


def test_an_altered_byte_of_a_checkpoint_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    save_sealed({"model": torch.arange(5), "step": 1}, path)
    assert load_sealed(path, ["model"])["step"] == 1 == torch.load(path, weights_only=True)["step"]
    content = path.read_bytes()
    for place in (*range(0, len(content) - 100, 9), *range(len(content) - 100, len(content))):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged.*delete it"):
            load_sealed(path, ["model"])
    path.write_bytes(content + b"\0")
    refuses(lambda path: load_sealed(path, ["model"]), path)


def test_files_of_another_kind_or_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    torch.save({"model": {}}, path)  # as it was written before there were seals
    refuses(read_checkpoint, path)
    write_cache(tmp_path / "cache.pt")
    shutil.copy(tmp_path / "cache.pt", path)
    refuses(read_checkpoint, path)
    write_checkpoint(path)
    refuses(lambda path: load_sealed(path, KEPT), path)
    state = load_sealed(path, ["settings"])
    del state["settings"]["clip"]  # a setting that is younger than the run
    save_sealed(state, path)
    with pytest.raises(ValueError, match=r"another run \(clip None instead of 10.0\)"):
        read_checkpoint(path)


def test_rows_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for kind, number in (("mistakes", 6), ("outcomes", 1), ("own masks", 3)):
        _, write, read = READERS[kind]
        write(path)
        content = path.read_bytes()
        heading, first, *rest = (
            (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode().splitlines()
        )
        cells = first.split(",")
        for changed in (
            [*cells, "1"],
            cells[:-1],
            [*cells[:number], "", *cells[number + 1 :]],
            [*cells[:number], "\0", *cells[number + 1 :]],
            [f"{cell}x" for cell in cells],
        ):
            path.write_text("\n".join([heading, *rest[:3], ",".join(changed)]), encoding="utf-8")
            refuses(read, path)
        path.write_text("\n".join([heading.replace("e", "a"), first]), encoding="utf-8")
        refuses(read, path)


def test_an_evaluations_rows_are_refused_with_damaged_settings(tmp_path: Path) -> None:
    for part in ("csv.gz", "json"):
        for damage in DAMAGES.values():
            for each in ("csv.gz", "json"):
                shutil.copy(data_root() / "evaluation" / f"fcos-crowd.{each}", tmp_path / f"a.{each}")
            path = tmp_path / f"a.{part}"
            path.write_bytes(damage(path.read_bytes()))
            refuses(Evaluation.load, tmp_path / "a.csv.gz")


@pytest.mark.parametrize(
    "change",
    [
        lambda about, tensors: about.pop("grids"),
        lambda about, tensors: about.pop("layer"),
        lambda about, tensors: about.pop("categories"),
        lambda about, tensors: about.update(extra=1),
        lambda about, tensors: about.update(categories=["one"]),
        lambda about, tensors: about.update(categories=5),
        lambda about, tensors: about.update(reasons=[]),
        lambda about, tensors: about.update(attributes=["class"]),
        lambda about, tensors: about.update(input_size=[0, 5]),
        lambda about, tensors: about.update(image_size="no"),
        lambda about, tensors: about.update(grids=[{"x": 1}]),
        lambda about, tensors: about.update(grids=about["grids"][:-1]),
        lambda about, tensors: tensors.pop("boxes"),
        lambda about, tensors: tensors.pop("maps.0"),
        lambda about, tensors: tensors.update(boxes=tensors["boxes"][:, :2].contiguous()),
        lambda about, tensors: tensors.update(scores=tensors["scores"][:0]),
        lambda about, tensors: tensors.update(labels=tensors["labels"].float()),
        lambda about, tensors: tensors.update(labels=tensors["labels"] + 1000),
        lambda about, tensors: tensors.update({"maps.0": tensors["maps.0"][0].contiguous()}),
    ],
)
def test_heat_maps_whose_parts_do_not_fit_are_refused(change: Callable, tmp_path: Path, maps: HeatMaps) -> None:
    from safetensors import safe_open

    path = tmp_path / "maps.safetensors"
    maps.save(path)
    with safe_open(path, framework="pt") as opened:
        about = json.loads(opened.metadata()["heat_maps"])
        tensors = {name: opened.get_tensor(name).clone() for name in list(opened.keys())}
    change(about, tensors)
    save_file(tensors, path, metadata={"heat_maps": json.dumps(about)})
    refuses(HeatMaps.load, path)
    save_file(tensors, path, metadata={"heat_maps": "[]"})
    refuses(HeatMaps.load, path)
    save_file(tensors, path)
    refuses(HeatMaps.load, path)


# Cards


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    for name in ("fcos-scenes", "fcos-crowd", "fcos-crowd-embedding"):
        for file in (data_root() / "weights").glob(f"{name}.*"):
            shutil.copy(file, folder)
    monkeypatch.setenv("ODAM_DATA", str(tmp_path))
    return folder


@pytest.mark.parametrize("name", ["fcos-scenes", "fcos-crowd", "fcos-crowd-embedding"])
def test_a_damaged_card_is_refused_by_name(name: str, weights: Path) -> None:
    load = load_embedder if name.endswith("embedding") else load_weights
    path, card = weights / f"{name}.json", json.loads((weights / f"{name}.json").read_text(encoding="utf-8"))
    key = {"fcos-crowd": "shares", "fcos-crowd-embedding": "embeds"}.get(name, "sha256")
    texts = ["", "{", "[]", "null", "5", '"text"', "{}", json.dumps(card | {"sha256": 5}), json.dumps(card | {key: []})]
    texts += [
        json.dumps(card | {key: {"detector": 5}}),
        json.dumps(card | {key: {"detector": "fcos-scenes"}}),
        "[" * 10**5,
    ]
    for content in [*(text.encode() for text in texts), json.dumps(card).encode("utf-16"), b"\xff\xfe\xfa"]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}\.json is damaged.*git checkout") as caught:
            load(name.removesuffix("-embedding"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("chain", [("fcos-crowd",), ("fcos-crowd", "fcos-scenes")])
def test_cards_that_share_in_a_circle_are_refused(chain: tuple[str, ...], weights: Path) -> None:
    for name, start in zip(chain, (*chain[1:], chain[0])):
        path = weights / f"{name}.json"
        shares = {"detector": start, "sha256": read_card(start)["sha256"], "modules": ["backbone.stem"]}
        path.write_text(json.dumps(read_card(name) | {"shares": shares}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"fcos-crowd\.json is damaged, fcos-crowd shares weights with itself"):
        load_detector("fcos-crowd", "cpu")


def test_weights_of_another_network_are_refused(weights: Path) -> None:
    save_state("fcos-scenes", {"other": torch.zeros(3)}, {}, weights)
    with pytest.raises(ValueError, match=r"weights of fcos-scenes are those of another network.*git checkout"):
        load_detector("fcos-scenes", "cpu")
    (weights / "fcos-scenes.safetensors").write_bytes(b"no tensors")
    card = read_card("fcos-scenes") | {"sha256": sha256(weights / "fcos-scenes.safetensors")}
    (weights / "fcos-scenes.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ValueError, match=r"fcos-scenes\.safetensors are damaged"):
        load_detector("fcos-scenes", "cpu")


def test_the_list_of_detectors_names_a_card_that_says_too_little(weights: Path) -> None:
    path = weights / "fcos-scenes.json"
    for key in ("AP", "AP50", "parameters", "measured_on"):
        said = json.loads((Path(zoo.__file__).parents[2] / "data/weights/fcos-scenes.json").read_text(encoding="utf-8"))
        for changed in ({one: value for one, value in said.items() if one != key}, said | {key: None}):
            path.write_text(json.dumps(changed), encoding="utf-8")
            with pytest.raises(ValueError, match=rf"fcos-scenes\.json is damaged, '{key}'"):
                zoo.format_table()


# Writing


@pytest.fixture(params=["full disk", "limited size"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder that has no room, and the number of the error that comes."""
    if request.param == "limited size":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (BIG, before[1]))
        yield tmp_path, errno.EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={BIG}", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    yield folder, errno.ENOSPC
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # torch's writer may still hold its file


def _checkpoint(folder: Path, maps: HeatMaps) -> Path:
    model = nn.Linear(400, 400)
    run = Run(folder, DetectorSettings())
    run.log(0, 0.1, {"loss": 1.0})
    run.save(1, model, torch.optim.AdamW(model.parameters()))
    return folder / CHECKPOINT


def _maps(folder: Path, maps: HeatMaps) -> None:
    replace(maps[[0] * 40], maps=tuple(one.clone() for one in maps[[0] * 40].maps)).save(folder / "a.safetensors")


def _crowds(folder: Path, maps: HeatMaps) -> None:
    CrowdResults((torch.rand(90_000, 4),)).save(folder / "a.safetensors")


def _picture(folder: Path, maps: HeatMaps) -> None:
    save_png(show_map(Scenes("val", 1)[0][0], maps[0].select("class")), folder / "a.png", dpi=300)


WRITERS: dict[str, tuple[str, Callable[[Path, HeatMaps], object]]] = {
    "checkpoint": (CHECKPOINT, _checkpoint),
    "cache": ("a.pt", lambda folder, _: Cached(Scenes("train", 6, None, 96), folder / "a.pt", workers=0)),
    "weights": ("a.safetensors", lambda folder, _: save_state("a", {"x": torch.rand(BIG)}, {}, folder)),
    "maps": ("a.safetensors", _maps),
    "crowds": ("a.safetensors", _crowds),
    "rows": ("a.csv", lambda folder, _: write_rows(folder / "a.csv", [{"a": "x" * 100}] * 1000)),
    "mistakes": (
        "a.csv",
        lambda folder, _: write_mistakes(
            read_mistakes(data_root() / "evaluation" / "distractors.csv.gz"), folder / "a.csv"
        ),
    ),
    "figure": ("a.png", _picture),
    "page": ("a.html", lambda folder, maps: write_figure(torch.rand(3, 256, 256), maps, folder / "a.html")),
    "scenes": ("annotations.json", lambda folder, _: export(Scenes("val", 12, "crowd", 64), output_folder(folder), 0)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_disk_without_room_is_said_with_the_path_and_leaves_what_was_there(
    kind: str, full: tuple[Path, int], maps: HeatMaps
) -> None:
    folder, number = full
    name, write = WRITERS[kind]
    alone = kind in ("cache", "scenes")  # which are not written over what is there
    (folder / name).write_text("what was there", encoding="utf-8") if not alone else None
    with pytest.raises(OSError) as caught:
        write(folder, maps)
    said = str(caught.value)
    assert caught.value.errno == number and "cannot be written" in said and str(folder) in said and "\n" not in said
    assert alone or (folder / name).read_text(encoding="utf-8") == "what was there"
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_a_full_disk_is_noticed_before_the_work(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={BIG}", "none", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        output_folder(folder)
        with pytest.raises(OSError):
            (folder / "filler").write_bytes(bytes(2 * BIG))
        with pytest.raises(PermissionError, match=r"disk cannot be written .No space left"):
            output_folder(folder)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        with pytest.raises(PermissionError, match=r"disk cannot be written .Read-only"):
            output_folder(folder)
        with pytest.raises(OSError, match=r"cannot be written .Read-only"):
            write_rows(folder / "a.csv", [{"a": 1}])
    finally:
        subprocess.run(["umount", str(folder)], check=True)

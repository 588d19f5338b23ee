"""The items of all questionnaires: of the bundled pictures, or of a reader's own photographs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from odam_chapters.study.items import DISCRIMINATION, EDGES, TRUST, Item
from odam_chapters.study.making import (
    Picture,
    make_discrimination_items,
    make_edge_items,
    make_trust_items,
)
from odam_lib.datasets.categories import relabel
from odam_lib.datasets.opening import open_dataset
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus
from odam_lib.explainers.odam import ODAM
from odam_lib.files import from_root
from odam_lib.images import load_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
WITH_ODAM_TRAIN = "ODAM, Odam-Train"
OF_SCENES, OF_CROWDS = "fcos-scenes", "fcos-crowd"


def list_methods(masks: int, seed: int = 0) -> dict[str, Explainer]:
    """The four methods of Tab. 2, D-RISE with so many masks."""
    return {
        "D-RISE": DRISE(masks=masks, seed=seed),
        "Grad-CAM": GradCAM(),
        "Grad-CAM++": GradCAMPlusPlus(),
        "ODAM": ODAM(),
    }


def open_photographs(folder: str, detector: Detector) -> Iterator[Picture]:
    """The photographs in a folder, in the order of their names, of which nothing is known; or the bundled ones.

    Args:
        folder: a relative one starts at the repository; empty for the bundled photographs.
        detector: in whose numbering labels are.

    Raises:
        FileNotFoundError: there is no such folder, or no photograph in it.
        ValueError: a file is no picture.
    """
    if not folder:
        for number, (image, target) in enumerate(relabel(open_dataset("photos"), detector.categories)):
            yield Picture(f"photograph {number}", image, target)
        return
    for path in list_photographs(folder):
        yield Picture(path.name, load_image(path))


def list_photographs(folder: str) -> list[Path]:
    """The files of pictures in a folder, see :func:`open_photographs`."""
    place = from_root(folder)
    paths = sorted(path for path in place.glob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"PHOTOS: there is no picture in {place}: give a folder of JPEG or PNG files.")
    return paths


def make_all_items(
    folder: str, name: str, questions: int, methods: Mapping[str, Explainer], seed: int, device: str
) -> dict[str, list[Item]]:
    """The items of the three questionnaires by their name.

    Of the bundled pictures, rankings are half of photographs and half of scenes, pointing half of crowds and half of
    scenes, with the detectors trained with Odam-Train as a fifth condition. Of own photographs all are, without it.

    Args:
        folder: see :func:`open_photographs`.
        name: of the photographs' detector.
        questions: of each questionnaire; own photographs may hold fewer.
        methods: by name.
        seed: random seed of the choice of objects.
        device: of the detectors.

    Raises:
        FileNotFoundError, ValueError: as of :func:`open_photographs`; or an unknown detector.
    """
    if folder:
        list_photographs(folder)
    detector = load_detector(name, device)
    if folder:
        own = list(open_photographs(folder, detector))
        conditions = {key: (detector, method) for key, method in methods.items()}
        return {
            TRUST.name: make_trust_items(detector, own, methods, questions),
            DISCRIMINATION.name: make_discrimination_items(conditions, own, questions, seed),
            EDGES.name: make_edge_items(detector, own, questions),
        }
    photographs, few = list(open_photographs("", detector)), questions // 2
    plain = {kind: load_detector(kind, device) for kind in (OF_SCENES, OF_CROWDS)}
    trained = {kind: load_detector(f"{kind}-odam", device) for kind in plain}
    most = 4 * questions
    trust = make_trust_items(detector, photographs, methods, few)
    trust += make_trust_items(plain[OF_SCENES], _draw_scenes(most, None, seed), methods, questions - len(trust))
    edges = make_edge_items(detector, photographs, few)
    edges += make_edge_items(plain[OF_SCENES], _draw_scenes(most, None, seed), questions - len(edges))
    pointing: list[Item] = []
    for kind, setting, number in ((OF_CROWDS, "crowd", few), (OF_SCENES, None, questions - few)):
        conditions = {key: (plain[kind], method) for key, method in methods.items()}
        conditions[WITH_ODAM_TRAIN] = trained[kind], methods["ODAM"]
        pointing += make_discrimination_items(conditions, _draw_scenes(most, setting, seed), number, seed)
    return {TRUST.name: trust, DISCRIMINATION.name: pointing, EDGES.name: edges}


def _draw_scenes(number: int, setting: str | None, seed: int) -> Iterator[Picture]:
    """At most so many scenes, each drawn when it is asked for."""
    scenes = Scenes("val", number, setting, seed=seed)
    for item in range(number):
        yield Picture(f"{setting or 'scene'} {item}", *scenes[item])

"""The items of all questionnaires: of the bundled pictures, or of a reader's own photographs."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from odam_chapters.study.items import DISCRIMINATION, EDGES, MODELS, PHOTOGRAPHS, TRUST, Item
from odam_chapters.study.making import (
    Picture,
    make_discrimination_items,
    make_edge_items,
    make_model_items,
    make_trust_items,
)
from odam_lib.datasets.categories import relabel
from odam_lib.datasets.layouts import UNDERSTOOD, is_dataset
from odam_lib.datasets.opening import open_dataset
from odam_lib.datasets.pictures import SUFFIXES
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import Detector
from odam_lib.detectors.zoo import load_detector
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus
from odam_lib.explainers.odam import ODAM
from odam_lib.files import from_root
from odam_lib.images import load_image

WITH_ODAM_TRAIN = "ODAM, Odam-Train"
OF_SCENES, OF_CROWDS = "fcos-scenes", "fcos-crowd"
OF_MODELS = OF_SCENES, "retinanet-pvt-scenes"
"""Whose AP differs by 6.5 points on held-out scenes, as that of the paper's two models by 5.7."""
PICTURES_A_QUESTION = 10
"""So many pictures are looked at for each question at most: a data set may hold little that can be asked about."""
OF_PHOTOGRAPHS = "Grad-CAM", "ODAM"
"""Two methods, a map of a class and one of an instance: of ten objects, everybody sees five by each."""
OF_A_PHOTOGRAPH, SURE_ENOUGH = 3, 0.25
"""How many objects of a photograph are asked about at most, and from which score on: five are bundled."""


def list_methods(masks: int, seed: int = 0) -> dict[str, Explainer]:
    """The four methods of Tab. 2, D-RISE with so many masks, which are coarse: of few masks these tell more."""
    return {
        "D-RISE": DRISE(masks=masks, cells=8, seed=seed),
        "Grad-CAM": GradCAM(),
        "Grad-CAM++": GradCAMPlusPlus(),
        "ODAM": ODAM(),
    }


def open_photographs(source: str, detector: Detector) -> Callable[[], Iterator[Picture]]:
    """What goes through photographs, as often as it is called.

    Args:
        source: a folder of pictures, of which nothing is known, in the order of their names; the path of a data set, as
            :func:`~odam_lib.datasets.opening.open_dataset` takes it; empty for the bundled photographs. A relative path
            starts at the repository.
        detector: in whose numbering labels are.

    Raises:
        FileNotFoundError: there is nothing, or a folder that holds no picture and is no data set.
        ValueError: a data set that cannot be right, or has no class that the detector knows.
    """
    place = from_root(source)
    if source and place.is_dir() and not is_dataset(place):
        paths = sorted(path for path in place.glob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise FileNotFoundError(
                f"PHOTOS: there is no picture in {place}: give a folder of JPEG or PNG files, or {UNDERSTOOD}."
            )
        return lambda: (Picture(path.name, load_image(path)) for path in paths)
    if source and not place.exists():
        raise FileNotFoundError(f"PHOTOS: there is nothing at {place}: give a folder of pictures, or {UNDERSTOOD}.")
    known = relabel(open_dataset(str(place) if source else "photos"), detector.categories)
    return lambda: (Picture(f"photograph {number}", *known[number]) for number in range(len(known)))


def make_all_items(
    source: str,
    detector: Detector,
    questions: int,
    methods: Mapping[str, Explainer],
    seed: int = 0,
    rival: Detector | None = None,
) -> dict[str, list[Item]]:
    """The items of all questionnaires by their name.

    - *trust*, *edges*: half of photographs and half of scenes; of photographs that are not bundled all.
    - *models*: of scenes, by :data:`OF_MODELS`; of photographs where there is a rival.
    - *photographs*: of photographs, by :data:`OF_PHOTOGRAPHS`.
    - *discrimination*: half of crowds and half of scenes, by all methods and by ODAM with Odam-Train; of no detector of
      photographs is there such a twin.

    Args:
        source: see :func:`open_photographs`.
        detector: of the photographs.
        questions: of each questionnaire; photographs may hold fewer.
        methods: those of :func:`list_methods`.
        seed: random seed of the choice of objects.
        rival: another detector of the photographs.

    Raises:
        FileNotFoundError, ValueError: as of :func:`open_photographs`; or the rival is the detector.
    """
    draw, few, most = open_photographs(source, detector), questions // 2, PICTURES_A_QUESTION * questions

    def look() -> Iterator[Picture]:
        return islice(draw(), most)

    odam, device = methods["ODAM"], detector.device
    plain = {kind: load_detector(kind, device) for kind in (OF_SCENES, OF_CROWDS)}
    trained = {kind: load_detector(f"{kind}-odam", device) for kind in plain}
    trust = make_trust_items(detector, look(), methods, questions if source else few)
    edges = make_edge_items(detector, look(), questions if source else few)
    if not source:
        scenes = plain[OF_SCENES]
        trust += make_trust_items(scenes, _draw_scenes(most, None, seed), methods, questions - len(trust))
        edges += make_edge_items(scenes, _draw_scenes(most, None, seed), questions - len(edges), len(edges))
    if rival is None:
        pair = [load_detector(kind, device) for kind in OF_MODELS]
        models = make_model_items(pair, _draw_scenes(most, None, seed), odam, questions)
    else:
        models = make_model_items((detector, rival), look(), odam, questions)
    conditions = {key: (detector, methods[key]) for key in OF_PHOTOGRAPHS}
    photographs = make_discrimination_items(conditions, look(), questions, seed, OF_A_PHOTOGRAPH, SURE_ENOUGH)
    pointing: list[Item] = []
    for kind, setting, number in ((OF_CROWDS, "crowd", few), (OF_SCENES, None, questions - few)):
        conditions = {key: (plain[kind], method) for key, method in methods.items()}
        conditions[WITH_ODAM_TRAIN] = trained[kind], odam
        pointing += make_discrimination_items(conditions, _draw_scenes(most, setting, seed), number, seed)
    made = {TRUST: trust, MODELS: models, DISCRIMINATION: pointing, PHOTOGRAPHS: photographs, EDGES: edges}
    return {study.name: items for study, items in made.items()}


def _draw_scenes(number: int, setting: str | None, seed: int) -> Iterator[Picture]:
    """At most so many scenes, each drawn when it is asked for."""
    scenes = Scenes("val", number, setting, seed=seed)
    for item in range(number):
        yield Picture(f"{setting or 'scene'} {item}", *scenes[item])

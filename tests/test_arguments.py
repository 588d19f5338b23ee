"""Arguments of a wrong type, or of a wrong value, are refused before any work, in one sentence that says what to do.

To add a case: one line of ``CASES`` with the call, the exception and words of its sentence.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from odam_chapters import in_boxes, influence, statistics
from odam_chapters.detectors import agreement as alike
from odam_chapters.errors import compared
from odam_chapters.odam_train import separation
from odam_chapters.pictures import show_average_maps, show_columns, show_methods
from PIL import Image
from torch import nn

import odam_lib as o
from odam_lib.datasets.photos import photo
from odam_lib.detections import check_threshold
from odam_lib.detectors.base import resolve_device
from odam_lib.detectors.zoo import build_detector
from odam_lib.explainers.bbam import BBAM
from odam_lib.explainers.controls import RandomMap
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.grad_cam import GradCAM
from odam_lib.explainers.whole import Combined
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels import losses, nms, similarity
from odam_lib.kernels.grid import Grid
from odam_lib.kernels.odam import smooth
from odam_lib.kernels.regions import box_regions
from odam_lib.metrics import (
    agreement,
    crowd_scores,
    crowds,
    discrimination,
    errors,
    faithfulness,
    intervals,
    localization,
    matching,
)
from odam_lib.viz.plots import show_map
from odam_lib.viz.standalone import write_figure


class Untouched:
    """A detector that must not be asked anything."""

    name, layers, categories = "untouched", ("fpn",), ("__background__", "person")

    def trace(self, image: object, layer: object = None) -> None:
        raise AssertionError("the network ran")

    detect = predict = trace


def some_detections(number: int = 2) -> o.Detections:
    each = torch.arange(number)
    return o.Detections(
        boxes=torch.tensor([[2.0, 2, 12, 12]]).repeat(number, 1),
        scores=torch.linspace(0.9, 0.5, number),
        labels=torch.ones_like(each),
        class_probs=torch.tensor([[0.0, 0.9]]).repeat(number, 1),
        level=torch.zeros_like(each),
        index=each,
        image_size=(16, 24),
        categories=("__background__", "person"),
        source="fake on image 0",
    )


found = some_detections()
heat = o.HeatMaps(
    maps=(torch.rand(5, 4, 6), torch.rand(5, 4, 6)),
    reasons=(("",) * 5,) * 2,
    attributes=ATTRIBUTES,
    detections=found,
    grids=(Grid.of_stride(4),) * 2,
    input_size=(16, 24),
    layer="fpn",
    method="test",
)
d, pic = Untouched(), torch.rand(3, 16, 24)
boxes, scores, labels = found.boxes, found.scores, found.labels
maps, masks, own = heat.to_image()[:, 0], torch.rand(2, 16, 24) > 0.5, torch.tensor([0, 1])
array = np.zeros((16, 24, 3), np.uint8)
theirs = {"boxes": boxes, "labels": labels, "scores": scores}
"""What a model of torchvision returns."""
given = {"objects": own, "images": torch.zeros(2), "ious": torch.rand(2), "boxes": boxes}
crowd = crowds.CrowdPicture(boxes, scores, boxes, boxes[:0])
errors_of = partial(errors.classify_errors, found)
deletion = partial(faithfulness.deletion, d)
T, V = TypeError, ValueError

CASES: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    # --- a figure without Python
    ("no picture in a figure", lambda: write_figure("a.jpg", heat, "x.html"), T, r"load_image\(path\)"),
    ("no maps in a figure", lambda: write_figure(pic, maps, "x.html"), T, "The heat maps are .*what explain returned"),
    ("no path of a figure", lambda: write_figure(pic, heat, 3), T, "The path is of the type int"),
    ("row of a figure", lambda: write_figure(pic, heat, "x.html", selected=2), IndexError, "2"),
    ("attribute of a figure", lambda: write_figure(pic, heat, "x.html", attribute="logit"), V, "choose one of class"),
    # --- explain
    ("threshold for detections", lambda: o.explain(d, pic, 0.5), T, r"detections are 0.5: .*score_threshold=0\.5"),
    (
        "torchvision's result",
        lambda: o.explain(d, pic, theirs),
        T,
        r"a dict with boxes.*detector\.detect.*wrap\(model\)",
    ),
    ("torchvision's results", lambda: o.explain(d, pic, [theirs]), T, r"detections are a list of 1.*wrap\(model\)"),
    (
        "boxes for detections",
        lambda: o.explain(d, pic, boxes),
        T,
        r"detections are a tensor of float32 \[2, 4\].*detect",
    ),
    ("heat maps for detections", lambda: o.explain(d, pic, heat), T, "detections are an object of type HeatMaps"),
    ("name of a method", lambda: o.explain(d, pic, method="gradcam"), T, r"method is 'gradcam': .*GradCAM\(\)"),
    (
        "class of a method",
        lambda: o.explain(d, pic, method=o.ODAM),
        T,
        r"class ODAM itself: .* instance of it, ODAM\(\)",
    ),
    ("no method", lambda: o.explain(d, pic, method=None), T, r"method is None: .*ODAM\(\)"),
    (
        "one attribute",
        lambda: o.explain(d, pic, attributes="class"),
        T,
        r"'class', one string: give a tuple, \('class',\)",
    ),
    ("attributes of numbers", lambda: o.explain(d, pic, attributes=(0, 1)), T, "give a tuple of strings"),
    ("no attributes", lambda: o.explain(d, pic, attributes=None), T, "attributes is None: give a tuple of strings"),
    ("unknown attribute", lambda: o.explain(d, pic, attributes=("width",)), V, "Unknown attribute 'width': choose"),
    (
        "threshold in words",
        lambda: o.explain(d, pic, score_threshold="high"),
        T,
        r"is 'high': give a number in \[0, 1\]",
    ),
    ("threshold a bool", lambda: o.explain(d, pic, score_threshold=True), T, "threshold is True: give a number"),
    ("threshold NaN", lambda: o.explain(d, pic, score_threshold=float("nan")), V, "threshold is nan: give a number"),
    ("threshold in percent", lambda: o.explain(d, pic, score_threshold=50), V, "threshold is 50: give a number"),
    ("name of a detector", lambda: o.explain("fcos-scenes", pic), T, r"give load_detector\('fcos-scenes'\)"),
    ("model", lambda: o.explain(nn.Linear(1, 1), pic), T, r"of type Linear: give odam_lib\.wrap\(model\)"),
    ("class of a detector", lambda: o.explain(Untouched, pic), T, "detector is the class Untouched: give a detector"),
    ("picture and detector swapped", lambda: o.explain(pic, d), T, "detector is a tensor of float32"),
    # --- detectors by name, by model
    ("number for a name", lambda: o.load_detector(5), T, "name of a detector is 5"),
    (
        "folder without weights",
        lambda: o.load_detector(Path("/")),
        FileNotFoundError,
        "There are no weights in /: give",
    ),
    ("empty name", lambda: o.load_detector(""), V, "Unknown detector '': choose"),
    ("unknown name", lambda: o.load_detector("fcos"), V, "Unknown detector 'fcos': choose"),
    ("number for a name to build", lambda: build_detector(None), T, "name of a detector is None"),
    ("number for a device", lambda: o.load_detector("fcos-scenes", 0), T, "device is 0: give auto, cpu"),
    ("device that is none", lambda: resolve_device("gpu"), V, "device 'gpu' is not usable"),
    ("detections to a number", lambda: found.to(0), T, "device is 0: give"),
    ("wrap a name", lambda: o.wrap("fcos-scenes"), T, "model is 'fcos-scenes': .*load_detector"),
    ("wrap a detector", lambda: o.wrap(build_detector("fcos-scenes")), T, "use this detector as it is"),
    ("wrap: one category", lambda: o.wrap(nn.Linear(1, 1), "person"), T, "categories is 'person': give a list"),
    ("wrap: numbers", lambda: o.wrap(nn.Linear(1, 1), [1, 2]), T, "categories is .*1, 2.*give a tuple of strings"),
    ("wrap: strides in words", lambda: o.wrap(nn.Linear(1, 1), strides=["8"]), T, "stride is '8': give a whole number"),
    ("wrap: a name that is none", lambda: o.wrap(nn.Linear(1, 1), name=5), T, "name is 5: give a string"),
    ("photo by number", lambda: photo(3), T, "asked for by its name"),
    ("photo that is not there", lambda: o.photo("unicorn"), V, "no bundled photograph 'unicorn'"),
    ("picture by number", lambda: o.load_image(5), T, "int"),
    ("side of zero", lambda: o.load_image("a.png", 0), V, "max_side is 0"),
    # --- methods
    ("sigma < 0", lambda: o.ODAM(smoothing=-1.0), V, "smoothing is -1.0: give a number of at least 0.*'adaptive'"),
    ("sigma infinite", lambda: o.ODAM(smoothing=float("inf")), V, "smoothing is inf: give"),
    ("sigma of several", lambda: o.ODAM(smoothing=[1.0]), T, r"smoothing is \[1.0\]: give a number"),
    ("share in words", lambda: o.ODAM(share="0.1"), T, "share is '0.1': give a positive number"),
    ("gradient by number", lambda: o.ODAM(gradient=1), T, "gradient is 1: give one of 'positive', 'negative'"),
    ("rectify None", lambda: o.ODAM(rectify=None), T, "rectify is None: give one of 'relu', 'none', 'abs'"),
    ("derivative", lambda: GradCAM(derivative=True), T, "derivative is True: give one of 'exact', 'window'"),
    ("half a chunk", lambda: o.ODAM(chunk=2.5), T, "chunk is 2.5: give a whole number of at least 1, or None"),
    ("chunk a bool", lambda: o.ODAM(chunk=True), T, "chunk is True: give a whole number"),
    ("half a mask", lambda: DRISE(masks=10.5), T, "masks is 10.5: give a whole number of at least 1"),
    ("keep in words", lambda: DRISE(keep="half"), T, r"keep is 'half': give a number in \(0, 1\)"),
    ("keep all", lambda: DRISE(keep=1), V, r"keep is 1: give a number in \(0, 1\)"),
    ("settled", lambda: DRISE(settled="yes"), T, "settled is 'yes': give a positive number, or None"),
    ("iterations", lambda: BBAM(iterations=None), T, "iterations is None: give a whole number"),
    ("rate", lambda: BBAM(rate=-1), V, "rate is -1: give a positive number"),
    ("cells", lambda: RandomMap(cells="16"), T, "cells is '16': give a whole number"),
    ("combined of a name", lambda: Combined("ODAM"), T, "of is 'ODAM': give an explainer"),
    ("combined of a class", lambda: Combined(o.ODAM), T, r"of is the class ODAM itself: .*ODAM\(\)"),
    ("smoothing by a negative", lambda: smooth(torch.rand(1, 1, 2, 2), torch.tensor([-1.0])), V, "sigma is -1"),
    # --- Detections and HeatMaps
    (
        "boxes as a list",
        lambda: replace(found, boxes=[[0, 0, 1, 1]]),
        T,
        r"boxes are a list.*tensor \[N, 4\], as torch",
    ),
    (
        "boxes as an array",
        lambda: replace(found, boxes=boxes.numpy()),
        T,
        r"NumPy array of float32 \[2, 4\]: give a tensor",
    ),
    ("boxes of five numbers", lambda: replace(found, boxes=torch.rand(2, 5)), V, r"boxes have shape \[2, 5\]: give"),
    (
        "one score too few",
        lambda: replace(found, scores=scores[:1]),
        V,
        r"scores have shape \[1\]: give a float tensor \[2\]",
    ),
    ("labels of floats", lambda: replace(found, labels=scores), T, "labels are a tensor of float32.*an int tensor"),
    ("classes", lambda: replace(found, categories=("person",)), V, r"class_probs have shape \[2, 2\]: .*\[2, 1\]"),
    ("one category", lambda: replace(found, categories="person"), T, "categories is 'person', one string"),
    ("size of one side", lambda: replace(found, image_size=16), T, r"image_size is 16: give \(height, width\)"),
    (
        "maps of another number",
        lambda: replace(heat, maps=heat.maps[:1]),
        V,
        "2 detections and 1 maps: give one for each",
    ),
    ("maps of another shape", lambda: replace(heat, maps=(maps[0],) * 2), V, r"map of row 0 has shape .*\[5, h, w\]"),
    ("maps of a dict", lambda: replace(heat, detections=theirs), T, "detections is a dict with boxes"),
    ("attribute by number", lambda: heat.select(0), T, "attribute is 0: give one of class"),
    ("attributes as a tuple", lambda: heat.select(("class", "x1")), T, "each by itself"),
    ("no attribute", lambda: heat.select(), V, "No attribute was asked for"),
    ("size as a number", lambda: heat.to_image(224), T, r"size is 224: give \(height, width\)"),
    ("size of zero", lambda: heat.to_image((0, 5)), V, r"size is \(0, 5\): give"),
    ("size of halves", lambda: heat.to_image((2.5, 5)), T, r"size is \(2.5, 5\): give"),
    ("joined with a tensor", lambda: heat.joined(maps), T, "joined is a tensor of float32"),
    # --- figures
    ("figure of a file", lambda: o.show_detections(Path("a.png"), found), T, r"image is .*load_image\(path\)"),
    ("figure of torchvision's", lambda: o.show_detections(pic, theirs), T, r"a dict with boxes.*wrap\(model\)"),
    ("maps as detections", lambda: o.show_maps(pic, found), T, "heat maps are an object of type Detections"),
    ("tensor of maps", lambda: show_map(pic, maps), T, "heat maps are a tensor of float32"),
    ("bytes", lambda: show_map(torch.zeros(3, 16, 24, dtype=torch.uint8), heat), T, "tensor of uint8.*image / 255"),
    ("arguments swapped", lambda: o.show_maps(heat, pic), T, "image is an object of type HeatMaps"),
    ("attribute of a map", lambda: show_map(pic, heat, 0, 1), T, "attribute is 1: give one of class"),
    ("attribute unknown", lambda: show_map(pic, heat, 0, "width"), V, "no map of 'width': computed were"),
    ("one column", lambda: o.show_maps(pic, heat, "class"), T, r"one string: give a tuple, \('class',\)"),
    (
        "opacity in words",
        lambda: show_map(pic, heat, opacity="half"),
        T,
        r"opacity is 'half': give a number in \[0, 1\]",
    ),
    ("opacity of two", lambda: show_map(pic, heat, opacity=2), V, "opacity is 2: give a number"),
    ("row that is not there", lambda: show_map(pic, heat, 7), IndexError, "Detection 7 does not exist"),
    ("row of an attribute", lambda: show_map(pic, heat, "class"), T, "chosen by 'class': give one row"),
    ("methods in a list", lambda: show_methods(pic, [heat], "class"), T, "are a list of 1: give a dict"),
    ("columns of arrays", lambda: show_columns(pic, found, {"a": maps.numpy()}, ""), T, "column 'a' is a NumPy array"),
    ("columns in a list", lambda: show_columns(pic, found, [maps], ""), T, "columns are a list of 1: give a dict"),
    ("frames in a list", lambda: show_average_maps([maps], ("x1",)), T, "frames are a list of 1: give a dict"),
    ("frames of no row", lambda: show_average_maps({}, ("x1",)), V, "no average map to show: give"),
    ("frames of one attribute", lambda: show_average_maps({"a": maps}, "x1"), T, r"give a tuple, \('x1',\)"),
    ("frames and attributes", lambda: show_average_maps({"a": maps}, ("x1",)), V, r"row 'a' has shape \[2, 16, 24\]"),
    (
        "columns of one map",
        lambda: show_columns(pic, found, {"a": maps[:1]}, ""),
        V,
        r"column 'a' has shape \[1, 16, 24\]",
    ),
    # --- suppression
    (
        "nms: lists",
        lambda: nms.nms([[0, 0, 1, 1]], scores, labels),
        T,
        r"boxes are a list of 1: give a tensor \[N, 4\]",
    ),
    ("nms: arrays", lambda: nms.nms(boxes, scores.numpy(), labels), T, "scores are a NumPy array"),
    ("nms: no labels", lambda: nms.keep_all(boxes, scores, None), T, "labels are None: give a tensor"),
    ("nms: threshold", lambda: nms.nms(boxes, scores, labels, "0.5"), T, r"iou_threshold is '0.5': .*\[0, 1\]"),
    ("nms: a bool", lambda: nms.nms(boxes, scores, labels, True), T, "iou_threshold is True"),
    ("soft: sigma", lambda: nms.gaussian(scores, sigma=-0.5), V, "sigma is -0.5: give a positive number"),
    ("soft: sigma in words", lambda: nms.gaussian(scores, sigma="0.5"), T, "sigma is '0.5': give a positive number"),
    ("soft: decay", lambda: nms.soft_nms(boxes, scores, labels, 0.5), T, "decay is 0.5: give a function"),
    (
        "soft: threshold",
        lambda: nms.soft_nms(boxes, scores, labels, score_threshold=None),
        T,
        "score_threshold is None",
    ),
    ("feature: embeddings", lambda: nms.feature_nms(boxes, scores, labels, None), T, "embeddings are None"),
    ("feature: low", lambda: nms.feature_nms(boxes, scores, labels, boxes, low="0"), T, "low is '0': give a number"),
    ("odam: maps", lambda: nms.odam_nms(boxes, scores, labels, heat), T, "maps are HeatMaps: give a tensor"),
    ("odam: high", lambda: nms.odam_nms(boxes, scores, labels, maps, high=[0.8]), T, r"high is \[0.8\]: give a number"),
    (
        "odam: maps made of a list",
        lambda: nms.odam_nms(boxes, scores, labels, lambda rows: [1]),
        T,
        "maps are \\[1\\]: give",
    ),
    ("correlation", lambda: similarity.correlation([1, 2]), T, r"maps are \[1, 2\]: give a tensor"),
    ("common size", lambda: similarity.common_size([maps[0].numpy()]), T, "map of row 0 is a NumPy array"),
    ("short edge in words", lambda: similarity.short_edge_size((2, 3), "50"), T, "short_edge is '50'"),
    (
        "detect with a threshold as nms",
        lambda: build_detector("fcos-scenes").detect(pic, 0.5, 0.5),
        T,
        r"nms is 0.5: .*iou_nms",
    ),
    # --- losses
    ("loss: list", lambda: losses.odam_train_loss([1.0], **given), T, r"maps are \[1.0\]: give a float tensor"),
    (
        "loss: objects",
        lambda: losses.odam_train_loss(maps, **given | {"objects": scores}),
        T,
        "objects are .*int tensor",
    ),
    ("loss: boxes", lambda: losses.odam_train_loss(maps, **given | {"boxes": scores}), V, r"boxes have shape \[2\]"),
    ("loss: bound", lambda: losses.odam_train_loss(maps, **given, bound=0.1), T, "bound is 0.1: give a function"),
    ("loss: directions", lambda: similarity.directions(masks), T, "maps are a tensor of bool .*float tensor"),
    ("loss: cosines", lambda: similarity.cosines(maps.numpy(), own), T, "maps are a NumPy array"),
    # --- metrics
    ("energy: array", lambda: localization.energy_inside(maps.numpy(), masks), T, "maps are a NumPy array"),
    ("energy: mask of bytes", lambda: localization.energy_inside(maps, masks * 255), V, r"int64 .*give bool"),
    ("energy: mask of another size", lambda: localization.energy_inside(maps, masks[..., 1:]), V, "the maps' size"),
    ("energy: HeatMaps", lambda: localization.energy_inside(heat, masks), T, "maps are an object of type HeatMaps"),
    (
        "edges: band",
        lambda: in_boxes.measure_edge_energy(maps, boxes, "wide"),
        T,
        r"band is 'wide': give a number in \(0, 0.5\]",
    ),
    ("edges: boxes", lambda: in_boxes.measure_edge_energy(maps, boxes[:, :3]), V, r"boxes have shape \[2, 3\]"),
    ("centre", lambda: in_boxes.locate_centre(maps, None), T, "boxes are None"),
    ("frame", lambda: in_boxes.frame_box(heat.to_image(), boxes, cells=4.5), T, "cells is 4.5"),
    ("area", lambda: alike.measure_spread(maps, share="0.8"), T, "share is '0.8'"),
    ("VEA", lambda: localization.visual_explanation_accuracy(maps, masks, [0.5]), T, r"thresholds are \[0.5\]"),
    (
        "pointing",
        lambda: localization.pointing(maps, masks.numpy()),
        T,
        "regions are a NumPy array.*give a bool tensor",
    ),
    ("compactness", lambda: localization.compactness(maps, boxes.tolist()), T, "boxes are a list"),
    ("ODI: own", lambda: discrimination.object_discrimination(maps, scores, masks), T, "own is .*int tensor"),
    (
        "ODI: a mask for own",
        lambda: discrimination.object_discrimination(maps, own > 0, masks),
        T,
        "own is a tensor of bool",
    ),
    ("ODI: regions", lambda: discrimination.object_discrimination(maps, own, None), T, "regions are None"),
    ("ODI: floor", lambda: discrimination.floor(own, masks, masks.float()), T, "masks are .*give a bool tensor"),
    ("match: torchvision's", lambda: matching.match(theirs, boxes, labels), T, r"a dict with boxes.*wrap\(model\)"),
    (
        "match: IoU",
        lambda: matching.match(found, boxes, labels, "0.5"),
        T,
        r"least IoU is '0.5': give a number in \(0, 1\]",
    ),
    ("match: labels", lambda: matching.match(found, boxes, scores), T, "labels are .*int tensor"),
    ("match: one label", lambda: matching.match(found, boxes, labels[:1]), V, r"labels have shape \[1\]"),
    ("errors: boxes", lambda: errors_of(boxes.numpy(), labels), T, "boxes are a NumPy array"),
    ("errors: IoU", lambda: errors_of(boxes, labels, least_iou=None), T, "least_iou is None: give a finite number"),
    ("errors: verdict", lambda: errors_of(boxes, labels).rows(0), T, "verdict is 0: give one of correct"),
    ("errors: deviations", lambda: compared.measure_deviations(boxes, boxes[:1]), V, r"true boxes have shape \[1, 4\]"),
    ("deletion: detector", lambda: faithfulness.deletion(None, pic, found, maps), T, "detector is None: give"),
    ("deletion: file", lambda: deletion("a.png", found, maps), T, r"image is 'a.png'.*load_image\(path\)"),
    ("deletion: dict", lambda: deletion(pic, theirs, maps), T, "a dict with boxes"),
    ("deletion: HeatMaps", lambda: deletion(pic, found, heat), T, "maps are an object of type HeatMaps"),
    ("deletion: steps", lambda: deletion(pic, found, maps, steps=2.5), T, "steps is 2.5: give a whole number"),
    ("deletion: seed", lambda: deletion(pic, found, maps, seed="a"), T, "seed is 'a': give a whole number"),
    ("insertion: batch", lambda: faithfulness.insertion(d, pic, found, maps, batch=None), T, "batch is None"),
    ("ranking", lambda: faithfulness.rank_pixels(maps.tolist(), 0), T, "maps are a list"),
    ("area under a list", lambda: faithfulness.auc([1, 0]), T, r"curves are \[1, 0\]: give a float tensor"),
    (
        "score: prediction",
        lambda: faithfulness.best_score(found, boxes, labels, (16, 24)),
        T,
        "predictions are .*type Detections",
    ),
    ("strongest", lambda: influence.select_strongest(maps[0], 0.5), T, "count is 0.5: give a whole number"),
    ("cosine", lambda: alike.measure_cosine(maps, heat), T, "second maps are an object of type HeatMaps"),
    ("cosine: sizes", lambda: alike.measure_cosine(maps, maps[:, 1:]), V, r"second maps have shape \[2, 15, 24\]"),
    ("ranks", lambda: agreement.rank_correlation(maps.numpy(), maps), T, "first maps are a NumPy array"),
    (
        "edge strength",
        lambda: alike.measure_edge_strength(array),
        T,
        r"image is a NumPy array of uint8 .*permute\(2, 0, 1\) / 255",
    ),
    ("parts: brightness", lambda: agreement.brightness_per_part(maps, masks.float()), V, "regions are .*give bool"),
    (
        "parts: agreement",
        lambda: agreement.agreement(maps[0], maps[0]),
        V,
        r"influence has shape \[16, 24\]: .*\[24, 16\]",
    ),
    ("pairs: IoU", lambda: separation.pair_overlapping(boxes, "0.3"), T, "least IoU is '0.3'"),
    ("pairs: rows", lambda: separation.correlate_pairs(maps, boxes), T, "pairs are .*int tensor"),
    ("survey: class", lambda: separation.survey(d, [], o.ODAM), T, "class ODAM itself"),
    ("candidates: threshold", lambda: separation.pair_candidates(d, [], o.ODAM(), "0.3"), T, "threshold is '0.3'"),
    ("intervals: rows", lambda: intervals.bootstrap(float, [1, 2], own), T, r"rows are \[1, 2\]"),
    ("intervals: groups", lambda: intervals.mean_interval(scores, own[:1]), V, r"groups have shape \[1\]"),
    (
        "intervals: repeats",
        lambda: intervals.mean_interval(scores, own, 10.5),
        T,
        "repeats is 10.5: give a whole number",
    ),
    ("intervals: change", lambda: statistics.relative_change(scores, [1], own), T, r"later values are \[1\]"),
    ("intervals: ROC", lambda: statistics.area_under_roc(scores, labels), T, "positive is .*bool tensor"),
    ("intervals: halves", lambda: statistics.wilson(0.5, 10), T, "successes is 0.5: give a whole number"),
    ("intervals: too many", lambda: statistics.wilson(11, 10), V, "successes is 11 of 10"),
    ("crowds: boxes", lambda: crowds.CrowdPicture(boxes.numpy(), scores, boxes, boxes), T, "boxes are a NumPy array"),
    ("crowds: scores", lambda: crowds.CrowdPicture(boxes, [0.9], boxes, boxes), T, r"scores are \[0.9\]"),
    ("crowds: pictures", lambda: crowds.match_crowds([theirs]), T, "picture is a dict with boxes.*CrowdPicture"),
    (
        "crowds: not matched",
        lambda: crowd_scores.jaccard([crowd]),
        T,
        "matches are a list of 1: give what matches returned",
    ),
    (
        "crowds: threshold",
        lambda: crowd_scores.crowd_recall(crowds.match_crowds([crowd]), None, "0.5"),
        T,
        "threshold is '0.5'",
    ),
    ("crowds: weights", lambda: crowd_scores.miss_rate(crowds.match_crowds([crowd]), [1]), T, r"weights are \[1\]"),
    ("crowd set", lambda: crowds.crowd_set(boxes.tolist()), T, "truth is a list"),
    ("regions: size", lambda: box_regions(boxes, 16), T, r"size is 16: give \(height, width\)"),
    ("regions: box", lambda: box_regions(boxes[0], (16, 24)), V, r"boxes have shape \[4\]"),
]


@pytest.mark.parametrize(("call", "error", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_wrong_argument_is_refused_in_one_sentence(call: Callable, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as refused:
        call()
    assert type(refused.value) is error
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000


IMAGES = [
    ("a path", Path("a.png"), T, r"load_image\(path\)"),
    ("a file's name", "a.png", T, r"load_image\(path\)"),
    ("Pillow's", Image.new("RGB", (24, 16)), T, r"odam_lib\.images\.from_pil"),
    ("NumPy's", array, T, r"uint8 \[16, 24, 3\]: .*torch\.from_numpy\(image\)\.permute\(2, 0, 1\) / 255"),
    ("bytes", torch.zeros(3, 16, 24, dtype=torch.uint8), T, "uint8 .*image / 255"),
    ("a list", pic.tolist(), T, "image is a list of 3: give a float tensor"),
    ("nothing", None, T, "image is None: give a float tensor"),
    ("channels last", pic.permute(1, 2, 0), V, r"shape \[16, 24, 3\]: .*image\.permute\(2, 0, 1\)"),
    ("a batch", pic[None], V, r"shape \[1, 3, 16, 24\]: .*image\[0\]"),
    ("grey", pic[:1], V, r"shape \[1, 16, 24\]: give \[3, H, W\]"),
    ("NaN", pic / 0 * 0, V, "NaN or infinite"),
    ("infinite", pic / 0, V, "NaN or infinite"),
    ("in 0 to 255", pic * 255, V, r"scale them to \[0, 1\]"),
    ("normalised", pic - 0.5, V, r"scale them to \[0, 1\]"),
]


@pytest.mark.parametrize(("image", "error", "words"), [case[1:] for case in IMAGES], ids=[case[0] for case in IMAGES])
def test_what_is_no_picture_is_refused_everywhere_with_what_makes_one(
    detector, image: object, error: type[Exception], words: str
) -> None:
    calls = (
        detector.detect,
        detector.trace,
        lambda image: o.explain(detector, image),
        lambda image: o.show_detections(image, found),
        lambda image: show_map(image, heat),
        lambda image: o.show_maps(image, heat),
        lambda image: faithfulness.deletion(detector, image, found, maps),
    )
    for call in calls:
        with pytest.raises(error, match=words) as refused:
            call(image)
        assert "\n" not in str(refused.value)


def test_layers_are_checked_before_the_network_runs(detector) -> None:
    for layer, error in ((0, TypeError), (["fpn"], TypeError), ("neck", ValueError)):
        with pytest.raises(error, match="fpn"):
            o.explain(detector, pic, layer=layer)


def test_numbers_of_numpy_and_tensors_count_as_numbers() -> None:
    settings = SimpleNamespace(half=np.float32(0.5), two=np.int64(2), tensor=torch.tensor(0.5))
    assert check_threshold(settings.half) == check_threshold(settings.tensor) == 0.5
    assert o.ODAM(smoothing=settings.half, chunk=settings.two).smoothing == 0.5
    kept = nms.nms(boxes, scores, labels, settings.tensor)
    assert torch.equal(kept.index, nms.nms(boxes, scores, labels, 0.5).index)
    assert heat.to_image((settings.two, torch.tensor(3))).shape[-2:] == (2, 3)
    assert heat.to_image(torch.zeros(4, 5).shape).shape[-2:] == (4, 5)

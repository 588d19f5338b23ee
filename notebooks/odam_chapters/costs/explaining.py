"""What maps cost, made by ODAM and in slower ways: by loops, in batches, by other packages; and do they agree?"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn
from torchvision.models.detection import FCOS, RetinaNet

from odam_chapters.costs.limits import Bound, find_bound
from odam_chapters.targets import rate
from odam_chapters.timing import Cost, measure, measure_growth, measure_in_turn
from odam_lib.categories import PEOPLE
from odam_lib.datasets.scenes import Scenes
from odam_lib.detections import Detections
from odam_lib.detectors.base import Detector
from odam_lib.detectors.positives import ORDERS
from odam_lib.detectors.trace import Trace
from odam_lib.detectors.zoo import ARCHITECTURES, build_detector
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.sources import GradientSource, WholeGradients
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.kernels.gradients import BUDGET
from odam_lib.training.odam_train import OdamTrain, choose_at_most

BOX_CELLS = 6.4
"""Sides of the drawn predictions' boxes in cells of their features: adaptive smoothing then has a usual width."""

ONE_STAGE = ("retinanet_resnet50_fpn", "fcos_resnet50_fpn")
TARGET_FORWARDS = dict.fromkeys(ONE_STAGE, (100, 0.6)) | {
    "yolov3-tiny": (100, 1.0),
    "fasterrcnn_resnet50_fpn": (100, 0.3),
    "detr_resnet50": (20, 1.0),
}
"""Explained predictions, and the forward passes that their five maps each may take."""
TARGET_BOUND = 1.15
"""How many times the arithmetic of its backward passes alone a map may take where there are no windows."""
TARGET_RATIOS = {"loop": 50, "HiResCAM": 300}
"""How many times as fast as these a one-stage detector's maps have to be."""
TARGET_STEPS = {"fcos": (256, 16, 60, 2.0), "fcos_resnet50_fpn": (640, 2, 100, 1.3)}
"""For a detector: side of the pictures, how many, positives of each, and how many plain steps an Odam-Train step may
take."""
TARGET_BYTES = 1.5e9
"""Extra memory has to stay below."""

PATIENCE = 15.0
"""Seconds after which no further repeat is begun."""

MapOf = Callable[[Detections, str], Tensor]
"""One row and an attribute -> its map ``[h, w]``."""


class BatchedGradients(WholeGradients):
    """Many in one backward pass, wherever in the map a prediction lies, and however little the cache holds."""

    cache = BUDGET


class LoopGradients(WholeGradients):
    """One backward pass each through the shared forward pass."""

    def on_levels(self, attribute: str, detections: Detections, levels: Sequence[int]) -> list[Tensor]:
        targets, features = self.trace.targets(attribute, detections), [self.trace.features[level] for level in levels]
        each = [torch.autograd.grad(target, features, retain_graph=True) for target in targets]
        return [torch.cat(level) for level in zip(*each)]


@dataclass(frozen=True)
class Batched(ODAM):
    """ODAM by :class:`BatchedGradients`."""

    def source(self, trace: Trace) -> GradientSource:
        return BatchedGradients(trace)


@dataclass(frozen=True)
class Loop(ODAM):
    """ODAM by :class:`LoopGradients`."""

    chunk: int | None = 1

    def source(self, trace: Trace) -> GradientSource:
        return LoopGradients(trace)


class Rerun(nn.Module):
    """A detector as other packages want a network: from a picture to one number, by way of a module to explain."""

    def __init__(self, detector: Detector, row: Detections, attribute: str) -> None:
        super().__init__()
        self.model, self.explained = detector.model, nn.Identity()
        self.detector, self.row, self.attribute = detector, row, attribute

    def forward(self, images: Tensor) -> Tensor:
        """``Tensor[1, 3, H, W]`` to ``Tensor[1]``."""
        trace = self.detector.trace(images[0])
        self.explained(trace.features[int(trace.feature_level(self.row)[0])])
        return trace.targets(self.attribute, self.row)


def make_hires_cam(detector: Detector, image: Tensor, row: Detections, attribute: str) -> Tensor:
    """The map ``[h, w]`` by one call of pytorch-grad-cam's HiResCAM, which runs the network again."""
    from pytorch_grad_cam import HiResCAM  # an extra

    model = Rerun(detector, row, attribute)
    with HiResCAM(model, [model.explained]) as cam:
        cam(image[None], [lambda output: output])
        found = cam.activations_and_grads
        small = cam.get_cam_image(None, None, None, found.activations[0].numpy(), found.gradients[0].numpy(), False)
    return torch.from_numpy(small[0]).relu()


def make_captum_map(detector: Detector, image: Tensor, row: Detections, attribute: str) -> Tensor:
    """The map ``[h, w]`` by one call of captum's LayerGradientXActivation, which runs the network again."""
    from captum.attr import LayerGradientXActivation  # an extra

    model = Rerun(detector, row, attribute)
    product = LayerGradientXActivation(model, model.explained).attribute(image[None].clone().requires_grad_())
    return product.detach().sum(dim=1)[0].relu()


def build_random_detector(name: str, side: int, seed: int = 0, device: torch.device | str = "cpu") -> Detector:
    """A detector without training for pictures of side x side pixels: costs do not depend on weights.

    YOLOv3-tiny resizes every picture to a longer side of its own.

    The towers of one-stage heads get weights with which gradients do not fade away, and FCOS's edges a
    bias with which its ReLU does not cut them off.

    Raises:
        ValueError: unknown name.
    """
    torch.manual_seed(seed)
    detector = build_detector(name)
    if hasattr(detector.model, "transform"):
        detector.model.transform.min_size, detector.model.transform.max_size = (side,), side
    if isinstance(detector.model, (RetinaNet, FCOS)):
        for tower in detector.towers[1:]:
            for module in tower.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight)
    if isinstance(detector.model, FCOS):
        nn.init.ones_(detector.model.head.regression_head.bbox_reg.bias)
    detector.model.to(device)
    return detector


def draw_predictions(trace: Trace, number: int, seed: int = 0) -> Detections:
    """Predictions at random, again and again the same where there are too few; their boxes have a usual size."""
    order = torch.randperm(len(trace.candidates), generator=torch.Generator().manual_seed(seed))
    rows = trace.candidates[order.repeat(-(-number // len(order)))[:number]]
    grids = [trace.grids[level] for level in trace.feature_level(rows).tolist()]
    sides = BOX_CELLS * rows.boxes.new_tensor([(grid.dx, grid.dy) for grid in grids])
    centres = (rows.boxes[:, :2] + rows.boxes[:, 2:]) / 2
    return replace(rows, boxes=torch.cat([centres - sides / 2, centres + sides / 2], dim=1))


@torch.no_grad()
def run_forward(detector: Detector, image: Tensor) -> object:
    """The detector's own forward pass, from the picture to what it found, before suppression if that is not in it."""
    model = detector.model
    if not hasattr(model, "transform"):
        return detector.predict(image[None])
    return model.run(model.transform([image])[0]) if hasattr(model, "run") else model([image])


def choose_fastest(trace: Trace) -> ODAM:
    """The fastest method that the default layer allows."""
    return ODAM(derivative="window") if trace.windows else ODAM()


def spread_maps(rows: Detections, number: int) -> Iterator[tuple[Detections, str]]:
    """A sample of maps: one each of so many predictions, the attributes in turn."""
    for place in range(number):
        yield rows[[place % len(rows)]], ATTRIBUTES[place % len(ATTRIBUTES)]


def make_one_map(method: ODAM, trace: Trace) -> MapOf:
    """A method's way to a single map."""
    return lambda row, attribute: method(trace, row, (attribute,)).maps[0][0]


def measure_single_maps(
    make: MapOf, rows: Detections, numbers: Iterable[int], sample: int, device: torch.device | str
) -> dict[int, Cost]:
    """The cost of five maps of each of N predictions, made one at a time.

    Args:
        make: makes a map.
        rows: predictions to draw the sample from.
        numbers: N, ascending.
        sample: maps that are really made; their time is extrapolated in proportion, their memory does not grow.
        device: where they are made.

    Returns:
        The cost of each N, marked as not measured.
    """
    make(*next(spread_maps(rows, 1)))
    cost = measure(lambda: [make(*one) for one in spread_maps(rows, sample)], 1, 0, device=device)
    maps = {number: number * len(ATTRIBUTES) for number in numbers}
    return {n: replace(cost.times(count / sample), extra_bytes=cost.extra_bytes) for n, count in maps.items()}


def measure_maps(
    method: ODAM, trace: Trace, rows: Detections, numbers: Iterable[int], limit: float, repeats: int
) -> dict[int, Cost]:
    """The cost of five maps of each of N predictions by one call; beyond ``limit`` predictions extrapolated."""
    device = trace.features[0].device
    return measure_growth(
        lambda number: method(trace, rows[:number], ATTRIBUTES), numbers, limit, repeats, PATIENCE, device
    )


def measure_disagreement(ours: Iterable[Tensor], theirs: Iterable[Tensor]) -> float:
    """The largest difference of two sets of maps, relative to the largest value of each map."""
    pairs = [(one, other.to(one.device)) for one, other in zip(ours, theirs)]
    return max(float((one - other).abs().max() / one.abs().max().clamp(min=1e-30)) for one, other in pairs)


@dataclass(frozen=True)
class Bill:
    """What N predictions' maps cost with one detector.

    Attributes:
        number: N.
        unit: seconds of the detector's forward pass.
        costs: by method: ``loop``, ``HiResCAM`` and ``ODAM``, the fastest there is.
        bound: of one prediction's maps, where each target needs a backward pass of its own.
    """

    number: int
    unit: float
    costs: Mapping[str, Mapping[int, Cost]]
    bound: Bound | None = None

    def ratio(self, slow: str) -> float:
        """How many times as long another method takes."""
        return self.costs[slow][self.number].seconds / self.ours

    @property
    def most_bytes(self) -> float:
        """The most extra memory of ODAM, whatever the number."""
        return max(cost.extra_bytes for cost in self.costs["ODAM"].values())

    @property
    def ours(self) -> float:
        """Seconds of ODAM."""
        return self.costs["ODAM"][self.number].seconds

    @property
    def forwards(self) -> float:
        """ODAM's time in forward passes."""
        return self.ours / self.unit


def measure_bill(detector: Detector, image: Tensor, most: int, sample: int, repeats: int, seed: int = 0) -> Bill:
    """Measure one detector: at N = 100, or 20 where there are no windows, or ``most`` where that is less."""
    trace = detector.trace(image)
    number = min(most, 100 if trace.windows else 20)
    rows = draw_predictions(trace, most, seed)
    unit = measure(lambda: run_forward(detector, image), repeats, device=image.device).seconds
    numbers = sorted({1, number, most if trace.windows else number})
    ours = measure_maps(choose_fastest(trace), trace, rows, numbers, most, repeats)
    slow: dict[str, MapOf] = {
        "loop": make_one_map(Loop(), trace),
        "HiResCAM": lambda row, attribute: make_hires_cam(detector, image, row, attribute),
    }
    costs = {name: measure_single_maps(make, rows, [number], sample, image.device) for name, make in slow.items()}
    bound = None if trace.windows else find_bound(choose_fastest(trace), trace, rows[[0]], repeats)
    return Bill(number, unit, {"ODAM": ours} | costs, bound)


PLAIN = "plain"


@dataclass(frozen=True)
class TrainingSteps:
    """What a step of training costs, the forward and backward pass of a batch: without and with Odam-Train.

    Attributes:
        seconds: seconds of each repeat, measured in turn, by the kind of step: ``plain``, or the order of Odam-Train.
        positives: heat maps that Odam-Train compared.
        pictures: in the batch.
    """

    seconds: Mapping[str, tuple[float, ...]]
    positives: int
    pictures: int

    def ratio(self, kind: str) -> float:
        """How many times as long a step takes as a plain one, medians compared."""
        return median(self.seconds[kind]) / median(self.seconds[PLAIN])


def time_training_steps(
    name: str, side: int, pictures: int, cap: int, repeats: int, seed: int = 0, device: torch.device | str = "cpu"
) -> TrainingSteps:
    """Measure training steps of an untrained detector on crowd scenes, all its parameters learning, in float32.

    Args:
        name: one of ``ARCHITECTURES``.
        side: side of the scenes, and of the detector's input, in pixels.
        pictures: in a batch.
        cap: positives a picture that Odam-Train compares; see :class:`OdamTrain`.
        repeats: steps of each kind.
        seed: random seed of the weights and the scenes.
        device: where it works.
    """
    torch.manual_seed(seed)
    detector, device = ARCHITECTURES[name](name, PEOPLE), torch.device(device)
    if hasattr(detector.model, "transform"):
        detector.model.transform.min_size, detector.model.transform.max_size = (side,), side
    model = detector.model.to(device).train().requires_grad_(True)
    items = [Scenes("train", pictures, "crowd", side, seed)[item] for item in range(pictures)]
    images = [image.to(device) for image, _ in items]
    targets = [{key: target[key].to(device) for key in ("boxes", "labels")} for _, target in items]
    compared: list[int] = []

    def plain() -> None:
        sum(model(images, targets).values()).backward()

    def odam(order: str) -> None:
        losses, positives = detector.compute_losses(images, targets)
        compared.append(len(choose_at_most(cap, positives.images)))
        (sum(losses.values()) + OdamTrain(order=order, cap=cap)(positives).mean).backward()

    steps: dict[str, Callable[[], None]] = {PLAIN: plain} | {order: partial(odam, order) for order in ORDERS}
    return TrainingSteps(measure_in_turn(steps, repeats, device), compared[-1], pictures)


def rate_steps(steps: Mapping[str, TrainingSteps]) -> str:
    """The cost of Odam-Train's steps against the targets, which are of the first order."""
    lines = []
    for name, one in steps.items():
        limit, ratio = TARGET_STEPS[name][-1], one.ratio("first")
        text = f"{ratio:.2f} plain steps in first order, target at most {limit}"
        lines.append(f"{name}: {one.positives} maps of {one.pictures} pictures")
        lines.append(f"  {rate(ratio <= limit, text)}")
        lines.append(f"          {one.ratio('second'):.2f} in second order")
    return "\n".join(lines)


def rate_bills(bills: Mapping[str, Bill]) -> str:
    """Each detector's bill against the targets."""
    lines = []
    for name, one in bills.items():
        lines.append(f"{name}, N = {one.number}, 5 maps each")
        if name not in TARGET_FORWARDS or one.number < TARGET_FORWARDS[name][0]:
            lines.append("  no target was set for this detector and N")
            continue
        limit = TARGET_FORWARDS[name][1]
        rated = [rate(one.forwards <= limit, f"{one.forwards:.2f} forward passes, target at most {limit}")]
        if one.bound:
            told = f"{one.bound.ratio:.2f} times the products of its backward passes alone"
            work = f"{one.bound.operations / 2e9 / len(ATTRIBUTES):.1f} billion multiplications a map"
            rated.append(rate(one.bound.ratio <= TARGET_BOUND, f"{told} ({work}), target at most {TARGET_BOUND}"))
        for slow, least in TARGET_RATIOS.items() if name in ONE_STAGE else ():
            ratio = one.ratio(slow)
            rated.append(rate(ratio >= least, f"{ratio:.0f} times as fast as {slow}, target at least {least}"))
        memory = f"{one.most_bytes / 1e9:.2f} GB of extra memory at most up to N = {max(one.costs['ODAM'])}"
        rated.append(rate(one.most_bytes < TARGET_BYTES, f"{memory}, target below {TARGET_BYTES / 1e9}"))
        lines += [f"  {line}" for line in rated]
    return "\n".join(lines)

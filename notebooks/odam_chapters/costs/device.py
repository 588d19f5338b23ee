"""What maps cost on an accelerator, and what limits them: its arithmetic, its memory, or the program that feeds it.

``python -m odam_chapters.costs.device --help`` measures and writes one JSON file and one figure.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median

import torch
import torchvision

from odam_chapters.costs import explaining as costs
from odam_chapters.costs.limits import PATIENCE, Ceilings, find_limits, measure_ceilings
from odam_chapters.costs.report import PAPER_DRISE, Report, draw_report, summarize, write_report
from odam_chapters.crowds.costs import time_kernels, time_pipelines
from odam_chapters.crowds.rules import CLASSICAL, ODAM_NMS, make_rules
from odam_chapters.timing import measure
from odam_lib.command import command
from odam_lib.datasets.scenes import Scenes
from odam_lib.detectors.base import resolve_device
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.judges import JUDGES, Discrimination, Faithfulness, Judge, Localization, PlantedCauses
from odam_lib.evaluation.runs import evaluate
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.odam import ODAM
from odam_lib.files import output_folder
from odam_lib.heatmaps import ATTRIBUTES
from odam_lib.viz.drawing import save_png

PROFILED = 100
"""Predictions whose five maps each are looked at closely."""


REPORT, FIGURE = "device-costs.json", "device-costs.png"


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        side: side of the pictures in pixels.
        numbers: explained predictions N.
        names: detectors without training, and the derivative their maps are made with.
        masks: of D-RISE.
        drise_seconds: if D-RISE would take longer it is measured on a tenth of the masks, and extrapolated.
        crowds: pictures that suppression is timed on.
        steps: detectors whose training steps are timed.
        batch: pictures that are predicted at a time where many are.
        evaluated: scenes that are explained and judged.
        product: side of the matrices whose product is the ceiling of arithmetic.
        repeats: how often each is measured.
    """

    side: int = 640
    numbers: tuple[int, ...] = (1, 10, 100, 1000)
    names: tuple[tuple[str, str], ...] = (
        ("fcos_resnet50_fpn", "window"),
        ("fcos_resnet50_fpn", "exact"),
        ("retinanet_resnet50_fpn", "exact"),
        ("fasterrcnn_resnet50_fpn", "exact"),
        ("yolov3-tiny", "exact"),
        ("detr_resnet50", "exact"),
    )
    masks: int = 5000
    drise_seconds: float = 60.0
    crowds: int = 8
    steps: tuple[str, ...] = ("fcos", "fcos_resnet50_fpn")
    batch: int = 32
    evaluated: int = 6
    product: int = 8192
    repeats: int = 7


def time_maps(name: str, derivative: str, sizes: Sizes, device: torch.device, best: Ceilings) -> dict[str, object]:
    """What five maps of each of N predictions cost with one detector, and what limits them."""
    detector = costs.build_random_detector(name, sizes.side, device=device)
    image = torch.rand(3, sizes.side, sizes.side, generator=torch.Generator().manual_seed(0)).to(device)
    unit = measure(lambda: costs.run_forward(detector, image), sizes.repeats, 3, PATIENCE, device)
    batch = image.expand(sizes.batch, -1, -1, -1)
    many = measure(lambda: detector.predict(batch), sizes.repeats, 2, PATIENCE, device).seconds / sizes.batch
    trace = detector.trace(image)
    traced = measure(lambda: detector.trace(image), sizes.repeats, 1, PATIENCE, device)
    # A map of a DETR takes a backward pass through its encoder.
    numbers = [number for number in sizes.numbers if trace.windows or number <= PROFILED]
    rows, method = costs.draw_predictions(trace, max(numbers)), ODAM(derivative=derivative)
    growth = costs.measure_maps(method, trace, rows, numbers, math.inf, sizes.repeats)
    shown = min(PROFILED, max(numbers))
    looked_at = find_limits(lambda: method(trace, rows[:shown], ATTRIBUTES), device, best, sizes.repeats)
    return {
        "layer": trace.layer,
        "forward_ms": 1e3 * unit.seconds,
        "forward_extra_MB": unit.extra_bytes / 1e6,
        "trace_ms": 1e3 * traced.seconds,
        "predict_ms_of_many": 1e3 * many,
        "maps": {
            number: {
                "ms": 1e3 * cost.seconds,
                "ms_a_map": 1e3 * cost.seconds / (number * len(ATTRIBUTES)),
                "forwards": cost.seconds / unit.seconds,
                "extra_MB": cost.extra_bytes / 1e6,
            }
            for number, cost in growth.items()
        },
        f"limits_{shown}": asdict(looked_at),
    }


def time_drise(detector_name: str, sizes: Sizes, device: torch.device) -> dict[str, object]:
    """D-RISE with one detector: seconds of a picture, on a tenth of the masks and extrapolated if that is too long."""
    detector = costs.build_random_detector(detector_name, sizes.side, device=device)
    image = torch.rand(3, sizes.side, sizes.side, generator=torch.Generator().manual_seed(0)).to(device)
    trace = detector.trace(image)
    rows = costs.draw_predictions(trace, 10)

    def seconds(masks: int) -> float:
        return measure(
            lambda: DRISE(masks=masks, batch=sizes.batch)(trace, rows, ["class"]), 1, 0, device=device
        ).seconds

    seconds(min(64, sizes.masks))
    tenth = seconds(max(1, sizes.masks // 10))
    measured = 10 * tenth < sizes.drise_seconds
    return {
        "detector": detector_name,
        "side": sizes.side,
        "masks": sizes.masks,
        "seconds": seconds(sizes.masks) if measured else 10 * tenth,
        "measured": measured,
        "paper_seconds": PAPER_DRISE,
    }


def time_suppression(sizes: Sizes, device: torch.device) -> dict[str, object]:
    """The whole way from a crowd to its detections with Odam-NMS and with NMS, and the kernel alone."""
    scenes = Scenes("val", sizes.crowds, "crowd")
    images = [scenes[item][0].to(device) for item in range(sizes.crowds)]
    found: dict[str, object] = {}
    for name in ("fcos-crowd-odam", "faster-rcnn-crowd-odam"):
        both = {rule: way for rule, way in make_rules(name).items() if rule in (CLASSICAL, ODAM_NMS)}
        timed = time_pipelines(load_detector(name, str(device)), images, both, 0.3, sizes.repeats)
        found[name] = {
            "candidates": median(timed.candidates),
            "nms_ms": 1e3 * timed.of(CLASSICAL),
            "odam_nms_ms": 1e3 * timed.of(ODAM_NMS),
            "ratio": timed.ratio(ODAM_NMS),
        }
    alone = time_kernels(repeats=sizes.repeats, device=device)
    return found | {"kernel_of_1000": {"nms_ms": 1e3 * median(alone.nms), "odam_nms_ms": 1e3 * median(alone.odam_nms)}}


def time_training(sizes: Sizes, device: torch.device) -> dict[str, object]:
    """Forward and backward pass of a batch, plain and with Odam-Train, in float32."""
    found: dict[str, object] = {}
    for name in sizes.steps:
        side, pictures, cap, _ = costs.TARGET_STEPS[name]
        steps = costs.time_training_steps(name, side, pictures, cap, sizes.repeats, device=device)
        found[name] = {
            "side": side,
            "pictures": pictures,
            "maps": steps.positives,
            "ms": {kind: 1e3 * median(seconds) for kind, seconds in steps.seconds.items()},
        }
    return found


def time_evaluation(sizes: Sizes, device: torch.device) -> dict[str, object]:
    """Scenes explained by ODAM and judged by the metrics that predict pictures again and those that do not."""
    detector, scenes = load_detector("fcos-scenes", str(device)), Scenes("val", sizes.evaluated)
    judges = {
        "none": (),
        "deletion and insertion": (Faithfulness(),),
        "places": (Localization(), Discrimination()),
        "planted causes": (PlantedCauses(),),
    }

    def seconds(chosen: Sequence[Judge]) -> tuple[float, int]:
        began = time.perf_counter()
        found = evaluate(detector, scenes, {"ODAM": ODAM()}, chosen, objects=10**9)
        return time.perf_counter() - began, found.objects - found.undetected

    seconds(JUDGES)  # once without a clock
    timed = {name: seconds(chosen) for name, chosen in judges.items()}
    return {
        "detector": detector.name,
        "pictures": sizes.evaluated,
        "objects": timed["none"][1],
        "ms_a_picture": {name: 1e3 * one / sizes.evaluated for name, (one, _) in timed.items()},
    }


def describe_machine(device: torch.device) -> dict[str, object]:
    """The machine and the versions that numbers belong to."""
    cuda = device.type == "cuda"
    return {
        "card": torch.cuda.get_device_name(device) if cuda else str(device),
        "memory_GB": torch.cuda.get_device_properties(device).total_memory / 1e9 if cuda else None,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def benchmark(
    device: torch.device, sizes: Sizes = Sizes(), told: Callable[[str, Report], None] = lambda *_: None
) -> Report:
    """Measure everything; a part that fails is reported by its error and does not take the others with it.

    Args:
        device: where.
        sizes: how much.
        told: is given a line and the report so far as each part ends.
    """
    began = time.monotonic()
    report: Report = describe_machine(device) | {"side": sizes.side, "attributes": len(ATTRIBUTES)}
    best = measure_ceilings(device, sizes.product)
    report["ceilings"] = asdict(best)
    report["detectors"] = {}

    def maps(name: str, derivative: str) -> dict[str, object]:
        label = name if derivative == "exact" else f"{name}, {derivative}"
        report["detectors"][label] = found = time_maps(name, derivative, sizes, device, best)
        return found

    parts: dict[str, Callable[[], object]] = {
        f"{name}, {derivative}": partial(maps, name, derivative) for name, derivative in sizes.names
    }
    later: dict[str, Callable[[], object]] = {
        "odam_nms": partial(time_suppression, sizes, device),
        "training": partial(time_training, sizes, device),
        "evaluation": partial(time_evaluation, sizes, device),
        "drise": partial(time_drise, sizes.names[0][0], sizes, device),
    }
    for name, part in (parts | later).items():
        try:
            found = part()
            if name in later:
                report[name] = found
        except Exception as error:
            report.setdefault("failed", {})[name] = f"{type(error).__name__}: {error}"
        report["seconds"] = time.monotonic() - began
        told(f"{report['seconds']:5.0f} s  {name}  {report.get('failed', {}).get(name, '')}", report)
    return report


@command
def main(words: Sequence[str] | None = None) -> None:
    """Measure what maps cost on an accelerator; write one JSON file and one figure."""
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", default="runs/gpu-check", help="folder that the files are written to")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parser.add_argument("--revision", default="", help="of the sources, kept in the report")
    arguments = parser.parse_args(words)
    device = resolve_device(arguments.device)
    if device.type == "cpu":
        raise ValueError("There is no accelerator to measure here: notebook 90 measures a processor.")
    folder = output_folder(arguments.output)

    def told(line: str, report: Report) -> None:
        print(line, flush=True)
        write_report(
            {"revision": arguments.revision} | report, folder / REPORT
        )  # so that little is lost if this is stopped

    report = benchmark(device, told=told)
    print(summarize(report), "\nwrote", folder / REPORT, save_png(draw_report(report), folder / FIGURE))


if __name__ == "__main__":
    main()

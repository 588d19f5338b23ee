"""How many workers one driver and one store can serve: measured on pictures that take no time, then simulated.

``python -m odam_chapters.costs.scaling --help`` measures it here.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from odam_chapters.costs.storing import METHODS, make_up
from odam_lib.cluster import connect
from odam_lib.command import command
from odam_lib.detectors.base import Detector
from odam_lib.detectors.zoo import load_detector
from odam_lib.evaluation.cluster import Driver, Workers
from odam_lib.evaluation.runs import Weighed, Work, open_run
from odam_lib.evaluation.store import Measured
from odam_lib.explainers.odam import ODAM
from odam_lib.kernels import checks


class Instant(Work):
    """Pictures of which something is said at once."""

    def measure(
        self, detector: Detector, item: int, names: Sequence[str], weighed: Mapping[str, Weighed] | None = None
    ) -> Measured:
        """See :meth:`Work.measure`."""
        return make_up(item)


def time_driving(pictures: int, workers: Workers) -> float:
    """Seconds that the driver needs a picture: to give it out, to take its rows in, to keep them on the disk of
    temporary files. What a worker needs to start is left out.

    Args:
        pictures: how many are given out.
        workers: at least two, so that one is ready while the driver works.

    Raises:
        ModuleNotFoundError, ConnectionError: there is no Ray, see :func:`~odam_lib.cluster.connect`.
        TypeError, ValueError: no number of pictures.
    """
    checks.count("pictures", pictures)
    make_detector = partial(load_detector, "fcos-scenes", "cpu")
    detector, stamps = make_detector(), []
    work = Instant(range(pictures), dict.fromkeys(METHODS, ODAM()), (), 0.5, 0.5, None)

    class Clock(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            stamps.append(time.perf_counter())
            return super().update(n)

    with TemporaryDirectory() as folder, connect(workers.address, cpus=workers.number * workers.cpus) as ray:
        with open_run(work, {"detector": "none"}, Path(folder) / "rows.sqlite") as run, Clock(total=pictures) as bar:
            Driver(ray, run, make_detector, workers, detector, bar).drive(10**12)
    return (stamps[-1] - stamps[0]) / (len(stamps) - 1)


def simulate_driving(gpus: int, seconds: float, disk: float, each: float, rounds: int = 50) -> float:
    """The share of their time in which GPUs work, where one driver serves them all.

    The driver takes in all answers that have come, waits for the disk once, and gives out as many pictures.

    Args:
        gpus: how many, each with one picture in work; they begin one after another, evenly.
        seconds: that a GPU needs a picture.
        disk: seconds that the driver waits for the disk, once for all answers that it takes in together.
        each: seconds of its own work for each of them.
        rounds: pictures of each GPU.

    Returns:
        In (0, 1].
    """
    due = [seconds * (1 + place / gpus) for place in range(gpus)]
    heapify(due)
    now, served = 0.0, 0
    while served < gpus * rounds:
        now, taken = max(now, due[0]), 0
        while due and due[0] <= now:
            heappop(due)
            taken += 1
        now += disk + each * taken
        served += taken
        for _ in range(taken):
            heappush(due, now + seconds)
    return min(1.0, served * seconds / (now * gpus))


@command
def main(words: Sequence[str] | None = None) -> None:
    """Measure how many pictures a second one driver can give out and keep."""
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000, help="how many are given out")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--address", default=Workers.address, help="of a cluster; local starts Ray here")
    parser.add_argument(
        "--seconds", type=float, default=0.8, help="that a GPU needs a picture, to say how many can be served"
    )
    asked = parser.parse_args(words)
    each = time_driving(asked.pictures, Workers(asked.workers, address=asked.address))
    served = f"{asked.seconds / each:.0f} GPUs of {asked.seconds:g} s a picture"
    print(f"{1e3 * each:.1f} ms a picture, {1 / each:.0f} pictures a second: enough for {served}")


if __name__ == "__main__":
    main()

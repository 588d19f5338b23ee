"""How many workers one driver and one store can serve: an evaluation on Ray whose pictures take no time.

``python -m odam_chapters.costs.scaling --help`` measures it here.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
    served = asked.seconds / each
    print(
        f"{1e3 * each:.1f} ms a picture, {1 / each:.0f} pictures a second: {served:.0f} GPUs of {asked.seconds:g} s a picture"
    )


if __name__ == "__main__":
    main()

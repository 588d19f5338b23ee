"""An evaluation by many processes, here or on a cluster: pictures are given out, and this process keeps the rows.

Ray's own restarts are not used: which picture a dead worker was at, and how often it died of that, is to be known.
"""

import math
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from odam_lib.cluster import LOCAL, connect
from odam_lib.command import sentence
from odam_lib.detectors.base import Detector
from odam_lib.detectors.weights import name_weights
from odam_lib.evaluation.judges import JUDGES, Judge
from odam_lib.evaluation.rows import Evaluation
from odam_lib.evaluation.runs import Run, Weighed, Work, open_run
from odam_lib.evaluation.store import Measured
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.kernels import checks

TRIES = 3
"""So often a picture is begun before it is given up, and so many workers in a row may end as they start."""
NAMED = 10
"""So many pictures that failed are named."""
LOOK = 5.0
"""Seconds until it is looked again whether a worker has started."""


@dataclass(frozen=True)
class Workers:
    """The processes that work.

    Attributes:
        number: how many, at most; each has one picture in work.
        cpus: of each, its threads.
        gpus: of each, perhaps a share; ``None``: 1 where there are any, else 0.
        address: see :func:`~odam_lib.cluster.connect`.
    """

    number: int = 2
    cpus: int = 1
    gpus: float | None = None
    address: str = LOCAL

    def __post_init__(self) -> None:
        checks.count("The number of workers", self.number)
        checks.count("CPUs of a worker", self.cpus)
        if self.gpus is not None:
            checks.number("GPUs of a worker", self.gpus, "[0, inf)", ", or None")


def evaluate_by_workers(
    make_detector: Callable[[], Detector],
    dataset: Any,
    methods: Mapping[str, Explainer],
    judges: Sequence[Judge] = JUDGES,
    objects: int = 300,
    least_iou: float = 0.5,
    score_threshold: float = 0.5,
    layer: str | None = None,
    path: str | Path | None = None,
    workers: Workers = Workers(),
) -> Evaluation:
    """As :func:`~odam_lib.evaluation.runs.evaluate`, with the same rows but for seconds, by several processes.

    A picture whose worker dies, or that fails, is begun again, at most ``TRIES`` times in all, after a death in batches
    of half the size, since it may have been of memory. Where there are fewer pictures than workers, the masks of D-RISE
    are weighed in parts. Pictures that were in work when there were enough objects are kept too, but not returned.
    Numbers are those of one process with as many threads as a worker has.

    Args:
        make_detector: makes the detector, in every process; it has to be the same everywhere.
        dataset: every process reads its pictures itself: files must lie at the same place on every node.
        methods, judges, objects, least_iou, score_threshold, layer, path: as for ``evaluate``.
        workers: how many, with what, where.

    Raises:
        ModuleNotFoundError, ConnectionError: there is no Ray, see :func:`~odam_lib.cluster.connect`.
        ValueError: as for ``evaluate``; or no node has room for a worker.
        RuntimeError: a node has other software or weights, and is named; workers end as they start; or, when everything
            else is done and kept, pictures failed, which are named.
        OSError: ``path`` cannot be written; what is kept is whole.
    """
    detector = make_detector()
    work = Work(dataset, dict(methods), tuple(judges), least_iou, score_threshold, layer)
    settings = work.check(detector, objects)
    cpus, weights = workers.number * workers.cpus, [str(detector.file)] if detector.file else []
    with connect(workers.address, cpus, weights=weights) as ray, open_run(work, settings, path) as run:
        with tqdm(total=objects, desc=detector.name, unit="object") as bar:
            failed = Driver(ray, run, make_detector, workers, detector, bar).drive(objects)
        if failed:
            told = [f"{_name_picture(dataset, item)}: {why}" for item, why in list(sorted(failed.items()))[:NAMED]]
            more = [f"and {len(failed) - NAMED} more"] if len(failed) > NAMED else []
            raise RuntimeError(
                f"{len(failed)} picture{'s' * (len(failed) > 1)} failed {TRIES} times, all others are done"
                f"{'' if path is None else f' and kept in {path}'}: {'; '.join(told + more)}."
            )
        return run.choose(objects)


def _name_picture(dataset: Any, item: int) -> str:
    with suppress(Exception):  # it may be what fails
        return f"item {item} (image {int(dataset[item][1]['image_id'])})"
    return f"item {item}"


@dataclass(frozen=True)
class Failure:
    """Why a picture could not be done."""

    why: str


class Worker:
    """What runs in each process."""

    def __init__(self, make_detector: Callable[[], Detector], work: Work, threads: int) -> None:
        torch.set_num_threads(threads)
        self.detector, self.work = make_detector(), work

    def describe(self) -> tuple[str, str]:
        """The node's name and the weights."""
        return socket.gethostname(), name_weights(self.detector)

    def do(self, job: "Job", weighed: Mapping[str, Weighed]) -> "Measured | Weighed | Failure":
        """What there is to do."""
        work = self.work
        for _ in range(job.deaths):
            work = work.halved()
        try:
            if job.part is None:
                return work.measure(self.detector, job.item, job.names, weighed)
            return work.weigh(self.detector, job.item, job.names[0], job.part)
        except Exception as error:
            return Failure(f"{type(error).__name__}: {sentence(error)}".rstrip("."))


@dataclass(frozen=True)
class Job:
    """What a worker does at a time: a picture, or, with a ``part``, the weights of some masks for one method.

    Attributes:
        item: of the data set.
        names: of the methods.
        part: numbers of masks.
        deaths: of workers at this; perhaps of memory that did not suffice, so each halves the batches.
    """

    item: int
    names: list[str]
    part: range | None = None
    deaths: int = 0


@dataclass
class Parts:
    """A picture whose masks are weighed in parts: what is still to come, and what there is."""

    job: Job
    due: int
    found: dict[tuple[str, int], Weighed] = field(default_factory=dict)

    def join(self) -> dict[str, Weighed]:
        """The parts put together, by method."""
        joined = {}
        for name in dict.fromkeys(name for name, _ in self.found):
            parts = [self.found[key] for key in sorted(key for key in self.found if key[0] == name)]
            weights: list[Tensor] = [one.weights for one in parts]
            joined[name] = Weighed(torch.cat(weights, dim=1), sum(one.seconds for one in parts))
        return joined


class Driver:
    """Gives out pictures and keeps what comes back."""

    def __init__(
        self,
        ray: ModuleType,
        run: Run,
        make_detector: Callable[[], Detector],
        workers: Workers,
        detector: Detector,
        bar: tqdm,
    ) -> None:
        self.ray, self.run, self.workers, self.bar = ray, run, workers, bar
        self.name, self.weights = detector.name, name_weights(detector)
        gpus = self._choose_gpus()
        self._make = ray.remote(num_cpus=workers.cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)(Worker)
        self._asked = ray.put(make_detector), ray.put(run.work), workers.cpus
        self._starting: dict[Any, Any] = {}  # the worker of each answer that is due
        self._busy: dict[Any, tuple[Any, Job]] = {}
        self._idle: list[Any] = []
        self._waiting: deque[Job] = deque()
        self._parts: dict[int, Parts] = {}
        self._tries: Counter[int] = Counter()
        self._dead_at_start = 0
        self.explained = 0
        self.failed: dict[int, str] = {}

    def _choose_gpus(self) -> float:
        """GPUs of a worker; raises ``ValueError`` if no node could hold one."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        asked = self.workers.gpus
        gpus = float(any(node.get("GPU") for node in nodes)) if asked is None else asked
        if not any(node.get("CPU", 0) >= self.workers.cpus and node.get("GPU", 0) >= gpus for node in nodes):
            raise ValueError(
                f"No node has room for a worker of {self.workers.cpus} CPUs and {gpus:g} GPUs: give it less of them."
            )
        return gpus

    def drive(self, objects: int) -> dict[int, str]:
        """Do everything; returns why pictures failed, by item."""
        pending = self._list_pending(objects)
        few = list(islice(pending, self.workers.number))
        if len(few) < self.workers.number:
            for job in few:
                self._split(job, math.ceil(self.workers.number / len(few)))
        else:
            self._waiting.extend(few)
        try:
            for _ in range(self.workers.number if self._waiting else 0):
                self._start()
            while True:
                self._give_out(pending)
                if not self._busy and not self._waiting:
                    return self.failed
                self._take_in()
        finally:
            for worker in (*self._starting.values(), *self._idle, *(worker for worker, _ in self._busy.values())):
                self.ray.kill(worker)

    def _list_pending(self, objects: int) -> Iterator[Job]:
        """Pictures in order of which something is missing, until those that are done hold enough explained objects."""
        for item in range(len(self.run.work.dataset)):
            if self.explained >= objects:
                return
            if missing := self.run.missing(item):
                yield Job(item, missing)
            else:
                self._count(item)

    def _count(self, item: int) -> None:
        self.explained += self.run.store.explained(item)
        self.bar.update(self.run.store.explained(item))

    def _split(self, job: Job, number: int) -> None:
        """Let the masks of a picture be weighed in so many parts before the rest of it is done."""
        parts: list[Job] = []
        for name in job.names:
            method = self.run.work.methods[name]
            if isinstance(method, DRISE) and number > 1:
                step = method.batch * math.ceil(method.masks / method.batch / number)
                ends = range(0, method.masks, step)
                parts += [Job(job.item, [name], range(at, min(at + step, method.masks))) for at in ends]
        if parts:
            self._parts[job.item] = Parts(job, len(parts))
        self._waiting.extend(parts or [job])

    def _start(self) -> None:
        worker = self._make.remote(*self._asked)
        self._starting[worker.describe.remote()] = worker

    def _give_out(self, pending: Iterator[Job]) -> None:
        while self._idle:
            if not self._waiting and (following := next(pending, None)):
                self._waiting.append(following)
            if not self._waiting:
                return
            worker, job = self._idle.pop(), self._waiting.popleft()
            parts = self._parts.get(job.item)
            answer = worker.do.remote(job, parts.join() if parts and job.part is None else {})
            self._busy[answer] = worker, job

    def _take_in(self) -> None:
        """Wait for an answer, of a picture or of a worker that has started; take in all that have come by then."""
        answers, others = self.ray.wait([*self._busy, *self._starting], num_returns=1, timeout=LOOK)
        self.bar.set_postfix_str("" if self._busy or self._idle else "waiting for workers")
        if answers and others:
            answers += self.ray.wait(others, num_returns=len(others), timeout=0)[0]
        # One wait for the disk, however many workers there are: it is what takes longest.
        with self.run.store.kept.transaction():
            for answer in [one for one in answers if one in self._busy]:
                self._receive(answer)
        for answer in [one for one in answers if one in self._starting]:
            self._welcome(answer)

    def _receive(self, answer: Any) -> None:
        worker, job = self._busy.pop(answer)
        try:
            found = self.ray.get(answer)
        except self.ray.exceptions.RayError as error:  # the worker died, of its own or by the system
            found, job = Failure(f"its worker died ({type(error).__name__})"), replace(job, deaths=job.deaths + 1)
            self._start()
        else:
            self._idle.append(worker)
        if isinstance(found, Failure):
            self._try_again(job, found.why)
        else:
            self._keep(job, found)

    def _welcome(self, answer: Any) -> None:
        worker = self._starting.pop(answer)
        try:
            node, weights = self.ray.get(answer)
        except self.ray.exceptions.RayError as error:
            self._dead_at_start += 1
            if self._dead_at_start >= TRIES:
                lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
                raise RuntimeError(f"Workers end as they start: {lines[-1].strip()}") from error
            self._start()
            return
        self._dead_at_start = 0
        if weights != self.weights:
            self.ray.kill(worker)
            raise RuntimeError(
                f"The node {node} has other weights of {self.name} ({weights[:8]}) than there are here "
                f"({self.weights[:8]}): install the same ones on every node."
            )
        self._idle.append(worker)

    def _try_again(self, job: Job, why: str) -> None:
        if job.item in self.failed:  # by another part
            return
        self._tries[job.item] += 1
        if self._tries[job.item] < TRIES:
            self._waiting.appendleft(job)
            return
        self.failed[job.item] = why
        self._waiting = deque(one for one in self._waiting if one.item != job.item)

    def _keep(self, job: Job, found: Measured | Weighed) -> None:
        if isinstance(found, Measured):
            self.run.store.add(found)
            self._parts.pop(job.item, None)
            self._count(job.item)
        elif job.item not in self.failed:
            assert job.part is not None
            parts = self._parts[job.item]
            parts.found[job.names[0], job.part.start] = found
            if len(parts.found) == parts.due:
                self._waiting.append(parts.job)

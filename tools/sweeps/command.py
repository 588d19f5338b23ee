"""``tools/notebooks.py sweep``: plan, leave out what is done, run the rest on Ray, show all on one page."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from notebooks import ROOT, kept, listed
from odam_lib.cluster import connect
from odam_lib.command import sentence
from odam_lib.files import owned, user_path, write_whole
from odam_lib.kernels import checks
from sweeps.job import TOOLS, Limits, Outcome, cut, read_outcome
from sweeps.page import make_page
from sweeps.plan import OUTPUT, Job, plan, read_notebook

ALL = "all"
INDEX, FIGURES = "index.html", "figures"


def find_notebooks(names: Sequence[str]) -> list[Path]:
    """Files of notebooks, each the name of one of the series, ``all`` of it, or a path.

    Raises:
        ValueError: there is none of this name.
        FileNotFoundError: there is none at the path.
    """
    found = []
    for name in names:
        if name == ALL:
            found += [kept(one)[0] for one in listed()]
        elif name in listed():
            found.append(kept(name)[0])
        elif not name.endswith(".ipynb"):
            raise ValueError(
                f"There is no notebook {name}: choose {ALL} or among {', '.join(listed())}, or give the path of an "
                ".ipynb file."
            )
        else:
            found.append(user_path(name).resolve())
    return found


def find_presets(names: Sequence[str], preset: str | None) -> dict[str, dict[str, Any]]:
    """Parameters of tests/notebooks.toml by notebook.

    Raises:
        ValueError: a notebook is not in that list.
    """
    if not preset:
        return {}
    if unknown := [name for name in names if name not in listed()]:
        raise ValueError(f"{unknown[0]} has no parameters of the set {preset}: leave --set out, and give them by -p.")
    return {name: listed()[name][preset] for name in names}


def sweep(arguments: Namespace) -> None:
    """Run all that is asked for and not done; see ``tools/notebooks.py sweep --help``.

    Raises:
        ValueError: a notebook, a parameter or a limit is wrong; nothing was run.
        RuntimeError: a run did not end well; the page says which.
    """
    checks.number("--minutes", arguments.minutes, "(0, inf)")
    checks.number("--cpus", arguments.cpus, "(0, inf)")
    if arguments.memory is not None:
        checks.number("--memory", arguments.memory, "(0, inf)")
    if arguments.gpus is not None:
        checks.number("--gpus", arguments.gpus, "[0, inf)")
    for name, share in (("--cpus", arguments.cpus), ("--gpus", arguments.gpus or 0)):
        if share > 1 and share != int(share):
            raise ValueError(f"{name} is {share:g}: give a share of one, up to 1, or a whole number.")
    memory = None if arguments.memory is None else int(arguments.memory * 1e9)
    limits = Limits(60 * arguments.minutes, memory, arguments.cpus, arguments.gpus)
    notebooks = [read_notebook(path) for path in find_notebooks(arguments.notebooks)]
    names = [notebook.name for notebook in notebooks]
    jobs = plan(notebooks, arguments.parameter, find_presets(names, arguments.set))
    title = ", ".join(names) if len(names) < 4 else f"{len(names)} notebooks"
    folder = user_path(arguments.output or ROOT / "runs" / "sweeps" / "+".join(dict.fromkeys(names))[:100]).resolve()
    with owned(folder / INDEX):
        found = {job.key: read_outcome(folder / job.key) for job in jobs}
        outcomes = {key: outcome for key, outcome in found.items() if outcome and outcome.verdict == "ok"}
        waiting = [job for job in jobs if job.key not in outcomes]
        print(f"{len(jobs)} runs, {len(outcomes)} of them done before: {folder / INDEX}", flush=True)
        _write(folder, title, jobs, outcomes)
        for job, outcome in run_all(waiting, folder, limits, arguments.address):
            outcomes[job.key] = outcome
            _write(folder, title, jobs, outcomes)
            said = f" ({outcome.sentence})" if outcome.sentence else ""
            print(
                f"[{len(outcomes)}/{len(jobs)}] {outcome.verdict:13} {outcome.seconds:4.0f} s  {job.describe()}{said}"
            )
    bad = sum(outcome.verdict != "ok" for outcome in outcomes.values())
    if bad:
        raise RuntimeError(f"{bad} of {len(jobs)} runs did not end well: {folder / INDEX} shows them first.")


def _write(folder: Path, title: str, jobs: Sequence[Job], outcomes: dict[str, Outcome]) -> None:
    with write_whole(folder / INDEX) as aside:
        aside.write_text(make_page(title, jobs, outcomes), encoding="utf-8", errors="backslashreplace")


def run_all(jobs: Sequence[Job], folder: Path, limits: Limits, address: str) -> Iterator[tuple[Job, Outcome]]:
    """Run jobs on Ray and yield each with its outcome, as they end.

    Args:
        jobs: what to run; with none, Ray is not asked for.
        folder: that gets a folder for each.
        limits: of each; GPUs ``None`` for one where there are any.
        address: of a cluster, as :func:`odam_lib.cluster.connect` takes it.

    Raises:
        ValueError: no machine has what a job needs.
    """
    if not jobs:
        return
    weights = sorted({name for job in jobs for name in job.weights})
    with connect(address, weights=weights) as ray:
        limits = replace(limits, gpus=choose_gpus(ray.nodes(), limits))
        task = ray.remote(_make_task()).options(
            num_cpus=limits.cpus, num_gpus=limits.gpus, memory=limits.memory, max_retries=0, name="notebook"
        )
        asked = {}
        for job in jobs:
            place = folder / job.key
            given = {**job.parameters, **({OUTPUT: str(place / FIGURES)} if job.writes else {})}
            asked[task.remote(str(job.source), given, str(place), asdict(limits))] = job
        try:
            while asked:
                (ended,), _ = ray.wait(list(asked))
                job = asked.pop(ended)
                try:
                    outcome = Outcome(**ray.get(ended))
                except ray.exceptions.RayError as error:
                    killed = isinstance(error, ray.exceptions.OutOfMemoryError)
                    said = sentence(getattr(error, "cause", None) or error)
                    outcome = Outcome("out of memory" if killed else "failed", cut(said))
                yield job, outcome
        finally:
            for one in asked:
                ray.cancel(one)


def _make_task() -> Callable[..., dict[str, Any]]:
    """What Ray runs: of plain values, made here so that Ray sends its code, since workers do not know this folder."""
    tools = str(TOOLS)

    def run_there(source: str, parameters: dict[str, Any], folder: str, limits: dict[str, Any]) -> dict[str, Any]:
        if tools not in sys.path:
            sys.path.insert(0, tools)
        from sweeps.job import Limits, run_job

        return asdict(run_job(source, parameters, folder, Limits(**limits)))

    return run_there


def choose_gpus(nodes: Sequence[Mapping[str, Any]], limits: Limits) -> float:
    """The GPUs of a job, once it is known that some machine has what it needs: Ray would wait for one for ever.

    Raises:
        ValueError: none has.
    """
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = limits.gpus
    if gpus is None:
        gpus = float(any(machine.get("GPU", 0) >= 1 for machine in machines))
    needs = {"GPU": gpus, "CPU": limits.cpus, "memory": limits.memory or 0}
    if not any(all(machine.get(name, 0) >= number for name, number in needs.items()) for machine in machines):
        have = "; ".join(_tell(machine) for machine in machines) or "none"
        raise ValueError(f"No machine has {_tell(needs)}: ask for less by --gpus, --cpus, --memory. Found: {have}.")
    return gpus


def _tell(machine: Mapping[str, float]) -> str:
    memory = machine.get("memory", 0)
    return f"{machine.get('GPU', 0):g} GPUs, {machine.get('CPU', 0):g} CPUs" + (
        f", {memory / 1e9:.0f} GB" if memory else ""
    )

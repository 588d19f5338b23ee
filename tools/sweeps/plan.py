"""What there is to run: the product of the parameters' values, checked by the notebooks' own rules."""

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import nbformat
import odam_chapters
from nbformat import NotebookNode
from odam_chapters.parameters import Rule
from odam_chapters.setup import check

from odam_lib.cluster import measure_versions
from odam_lib.detectors.trained import read_run
from odam_lib.detectors.weights import find_weights, read_card
from odam_lib.files import from_root, sha256, user_path

OUTPUT = "OUTPUT_DIR"
"""The parameter that the sweep sets itself."""


@dataclass(frozen=True)
class Notebook:
    """A notebook and what it says of its parameters.

    Attributes:
        path: of the file.
        cells: kind and source of each.
        defaults: values by parameter, ``None`` for what is no literal.
        rules: of its chapter by parameter; empty where it has none.
    """

    path: Path
    cells: Sequence[tuple[str, str]]
    defaults: Mapping[str, Any]
    rules: Mapping[str, Rule]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.stem


@dataclass(frozen=True)
class Job:
    """One notebook with one value of each parameter.

    Attributes:
        notebook: its name.
        source: its file.
        varied: what the sweep varies, shown to the reader.
        parameters: all that is handed to the notebook, without ``OUTPUT_DIR``.
        writes: whether it has that one.
        weights: names of bundled ones that the parameters name, and paths of those of trainings.
        key: name of its folder, another one for another notebook, value, file of weights or source of the package.
    """

    notebook: str
    source: Path
    varied: Mapping[str, Any]
    parameters: Mapping[str, Any]
    writes: bool
    weights: tuple[str, ...]
    key: str

    def describe(self) -> str:
        """In one line of text."""
        return " ".join([self.notebook, *(f"{name}={value}" for name, value in self.varied.items())])


def read_notebook(path: Path) -> Notebook:
    """Read a notebook and find the rules of its parameters.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no notebook.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no notebook {path}: give the path of an .ipynb file.")
    try:
        content = nbformat.read(path, as_version=4)
    except (nbformat.ValidationError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no notebook of Jupyter: give the path of an .ipynb file.") from error
    cells = [(cell.cell_type, cell.source) for cell in content.cells]
    code = [source for kind, source in cells if kind == "code"]
    return Notebook(path, cells, _defaults(content), _rules(code))


def _defaults(content: NotebookNode) -> dict[str, Any]:
    """The parameters that the cell of this tag sets."""
    sources = [cell.source for cell in content.cells if "parameters" in cell.metadata.get("tags", [])]
    found: dict[str, Any] = {}
    for node in _statements(sources):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                found[node.targets[0].id] = None
    return found


def _rules(code: Sequence[str]) -> Mapping[str, Rule]:
    """``PARAMETERS`` of what the notebook imports as its ``chapter``."""
    for node in _statements(code):
        if isinstance(node, ast.ImportFrom) and node.module == "odam_chapters":
            for one in node.names:
                if (one.asname or one.name) == "chapter":
                    rules: Mapping[str, Rule] = import_module(f"odam_chapters.{one.name}").PARAMETERS
                    return rules
    return {}


def _statements(sources: Iterable[str]) -> Iterable[ast.stmt]:
    for source in sources:
        try:
            yield from ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)).body
        except SyntaxError:  # the kernel will say so
            continue


def read_value(text: str, default: Any) -> Any:
    """A value as the notebook writes it, from the command line: text stays as it is, what cannot be read too."""
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if isinstance(default, float) and type(value) is int:
        return float(value)
    return value if _is_plain(value) else text


def _is_plain(value: Any) -> bool:
    """Whether JSON has it, and so every kernel."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def plan(
    notebooks: Sequence[Notebook], given: Sequence[Sequence[str]], presets: Mapping[str, Mapping[str, Any]]
) -> list[Job]:
    """All combinations of the values, of one notebook after the other.

    Args:
        notebooks: what to run.
        given: for each parameter that varies its name and its values, as typed.
        presets: other values than the notebook's own, by the notebook's name.

    Raises:
        ValueError: a notebook has no such parameter, or a rule of the notebook refuses a value.
    """
    names = [name for name, *_ in given]
    for name, *values in given:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice: write -p {name} and all its values once.")
        if not values:
            raise ValueError(f"{name} has no value: write -p {name} VALUE [VALUE ...].")
        if name == OUTPUT:
            raise ValueError(f"{OUTPUT} is set by the sweep, a folder for each run: choose where with --output.")
    jobs: list[Job] = []
    for notebook in notebooks:
        if unknown := [name for name in names if name not in notebook.defaults]:
            has = ", ".join(name for name in notebook.defaults if name != OUTPUT) or "none"
            raise ValueError(f"{notebook.name} has no parameter {unknown[0]}: it has {has}.")
        read = [[read_value(text, notebook.defaults[name]) for text in values] for name, *values in given]
        for values in product(*read):
            jobs.append(_job(notebook, dict(zip(names, values)), presets.get(notebook.name, {})))
    for job in jobs:
        if [one.key for one in jobs].count(job.key) > 1:
            raise ValueError(f"{job.describe()} is asked for twice: give each notebook and each value once.")
    return jobs


def _job(notebook: Notebook, varied: dict[str, Any], preset: Mapping[str, Any]) -> Job:
    parameters = {name: value for name, value in (preset | varied).items() if name != OUTPUT}
    whole = {**notebook.defaults, **parameters}
    try:
        if notebook.rules:
            check(notebook.rules, whole)
        else:
            for name, value in varied.items():
                _be_alike(name, value, notebook.defaults[name])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{notebook.name}: {error}") from error
    whole.pop(OUTPUT, None)
    weights = _weights(whole.values())
    hashes = [read_card(Path(name) if os.path.isabs(name) else name)["sha256"] for name in weights]
    parts = [notebook.cells, whole, hashes, _files(whole.values()), _versions()]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    key = f"{re.sub(r'[^A-Za-z0-9_-]+', '_', notebook.name)[:40]}-{digest[:12]}"
    return Job(notebook.name, notebook.path, varied, parameters, OUTPUT in notebook.defaults, weights, key)


def _be_alike(name: str, value: Any, default: Any) -> None:
    """All that a notebook without rules says of a value is its own."""
    if default is not None and type(value) is not type(default):
        raise ValueError(f"{name} is {value!r}: give {type(default).__name__}, as {default!r}, which the notebook has.")


@cache
def _versions() -> dict[str, str]:
    """What a notebook imports: the package and its chapters by their sources, PyTorch."""
    chapters = Path(odam_chapters.__file__).parent
    return measure_versions() | {
        str(path.relative_to(chapters)): sha256(path) for path in sorted(chapters.rglob("*.py"))
    }


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str) and text)


def _weights(values: Iterable[Any]) -> tuple[str, ...]:
    """Bundled weights that values name, or the beginning of whose name, as ``fcos`` does of those of crowds; and those
    of trainings whose folders they name."""
    bundled = sorted(card.stem for card in find_weights("any").parent.glob("*.json"))
    texts = sorted(set(_texts(values)))
    named = [name for name in bundled if any(name == text or name.startswith(f"{text}-") for text in texts)]
    return tuple(named) + tuple(found for text in texts if (found := _trained(text)))


def _trained(text: str) -> str:
    """The weights of a training in a folder of that path; empty if there are none."""
    try:
        return str(read_run(text).file) if user_path(text).is_absolute() else ""
    except (OSError, ValueError):  # another folder
        return ""


def _files(values: Iterable[Any]) -> dict[str, str]:
    """Hashes of the files that values name."""
    return {text: found for text in _texts(values) if (found := _hash(text))}


@cache
def _hash(text: str) -> str:
    try:
        path = from_root(text)
        return sha256(path) if path.is_file() else ""
    except (OSError, ValueError):  # too long for a path, or the home of nobody: no file
        return ""

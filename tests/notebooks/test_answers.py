"""Every exercise, answered right, wrong and not at all: what its check replies, in the notebook's own cell.

``answers/NN_name.toml`` holds the answers to the exercises of a notebook::

    parameters = { SCENES = 1 }             # optional: over the notebook's `test` parameters in tests/notebooks.toml
    context = '''bills = {...}'''           # optional: run after the parameters and the imports; small data, made up
    cells = ["detections = detector"]       # optional: these cells of the notebook run then, named by how they begin

    [my_factor]                             # the variable of a stub, `my_factor = None`
    kind = "measurement"                    # code, measurement, or prediction
    right = "my_factor = 40"                # for the stub; left out: the <pre> of the solution below the stub
    says = ["40"]                           # optional: what the reply holds
    open = ["how many"]                     # optional: what the reply to the stub as it stands holds

    [[my_factor.wrong]]
    answer = "my_factor = 2"
    says = ["one forward pass"]             # words that tell why it is wrong, or why it was tempting
"""

import ast
import html
import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from cells import ANSWERS, LISTED, TAUGHT, cells_of, code_of, open_shell, run_cell
from IPython.core.interactiveshell import InteractiveShell

KINDS = ("code", "measurement", "prediction")
SETTINGS = ("parameters", "context", "cells")
SOLUTION = re.compile(r"<details>\s*<summary>Solution</summary>(.*?)</details>", re.DOTALL)


def read(name: str) -> dict[str, Any]:
    return tomllib.loads((ANSWERS / f"{name}.toml").read_text(encoding="utf-8"))


def answers(name: str) -> dict[str, dict[str, Any]]:
    """The answers to a notebook's exercises by variable."""
    return {variable: answer for variable, answer in read(name).items() if variable not in SETTINGS}


def find_stub(source: str) -> tuple[str, int, int] | None:
    """The variable of a stub in a cell and where it begins and ends: ``my_... =`` with ``None`` in its value."""
    for one in ast.parse(source).body:
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.end_lineno:
            empty = any(isinstance(part, ast.Constant) and part.value is None for part in ast.walk(one.value))
            if one.targets[0].id.startswith("my_") and empty:
                return one.targets[0].id, one.lineno, one.end_lineno
    return None


def stubs(name: str) -> dict[str, str]:
    """The cells of a notebook's exercises by variable."""
    return {stub[0]: source for source in code_of(name) if (stub := find_stub(source))}


def solved(name: str, variable: str) -> str:
    """The source in the solution that follows a stub."""
    cells = cells_of(name)
    place = next(at for at, cell in enumerate(cells) if cell.cell_type == "code" and f"{variable} = " in cell.source)
    fold = SOLUTION.search("\n".join(cell.source for cell in cells[place + 1 :] if cell.cell_type == "markdown"))
    source = fold and re.search("<pre>(.*?)</pre>", fold[1], re.DOTALL)
    assert source, f"{variable}: no <pre> in a solution below; give the right answer in the list"
    return html.unescape(re.sub("</?code>", "", source[1]))


@lru_cache(maxsize=1)
def opened(name: str, folder: Path) -> InteractiveShell:
    """A notebook as far as its exercises need it."""
    about, (first, imports, *cells) = read(name), code_of(name)
    shell = open_shell()
    run_cell(shell, first)
    shell.user_ns |= LISTED[name]["test"] | about.get("parameters", {}) | {"OUTPUT_DIR": str(folder)}
    run_cell(shell, imports)
    run_cell(shell, about.get("context", ""))
    for beginning in about.get("cells", ()):
        (source,) = (one for one in cells if one.startswith(beginning))
        run_cell(shell, source)
    return shell


def reply(name: str, variable: str, answer: str | None, folder: Path) -> str:
    """What the exercise's cell prints, on one line, with an answer where its stub was; ``None`` for the bare stub."""
    source = stubs(name)[variable]
    _, first, last = find_stub(source) or ("", 0, 0)
    lines = source.split("\n")
    answered = lines if answer is None else [*lines[: first - 1], answer, *lines[last:]]
    return " ".join(run_cell(opened(name, folder), "\n".join(answered)).split())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.mark.parametrize(("name", "variable"), [(name, variable) for name in TAUGHT for variable in answers(name)])
def test_an_exercise_is_open_right_or_wrong_and_says_why(name: str, variable: str, folder: Path) -> None:
    exercise = answers(name)[variable]
    empty = reply(name, variable, None, folder)
    assert empty.startswith("open"), empty
    assert all(word in empty for word in exercise.get("open", ())), empty
    right = reply(name, variable, exercise.get("right") or solved(name, variable), folder)
    assert right.startswith("right"), right
    assert all(word in right for word in exercise.get("says", ())), right
    for wrong in exercise["wrong"]:
        told = reply(name, variable, wrong["answer"], folder)
        assert told.startswith("not quite") and all(word in told for word in wrong["says"]), told


@pytest.mark.parametrize("name", TAUGHT)
def test_every_exercise_with_a_stub_has_answers_that_go_wrong_for_a_reason(name: str) -> None:
    found = answers(name)
    assert stubs(name).keys() == found.keys()
    for variable, exercise in found.items():
        assert exercise["kind"] in KINDS, variable
        assert exercise["wrong"] and all(wrong["says"] for wrong in exercise["wrong"]), variable


def test_the_series_has_exercises_enough_and_most_of_them_are_done_and_not_guessed() -> None:
    assert [name for name in LISTED if name not in TAUGHT and stubs(name)] == []
    kinds = [exercise["kind"] for name in TAUGHT for exercise in answers(name).values()]
    assert len(kinds) >= 20 and len(kinds) - kinds.count("prediction") >= 14


def test_the_answers_are_of_notebooks() -> None:
    assert {path.stem for path in ANSWERS.glob("*.toml")} <= LISTED.keys()


def test_a_stub_is_found_wherever_it_stands() -> None:
    assert find_stub("x = 1\nmy_a = {\n 'x': None}\nprint(my_a)") == ("my_a", 2, 3)
    assert find_stub("my_a = 1\nother = None") is None

"""Every parameter of every notebook is checked, by one sentence that names it, before any work."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import ROOT, code_of
from odam_chapters import parameters

import odam_lib
from odam_lib import files, images
from odam_lib.datasets import opening
from odam_lib.detectors import base, zoo

NAMES = list(tomllib.loads((ROOT / "tests" / "notebooks.toml").read_text(encoding="utf-8")))
WRONG: dict[str, tuple[Any, ...]] = {
    "str": (5, 2.5, None, True, ["fcos-scenes"], Path("runs")),
    "int": ("4", 2.5, -1, None, True, [4], float("nan"), 10**30),
    "float": ("high", None, True, [0.5], float("nan"), float("inf"), -2.0),
    "list of int": (None, 5, "class", ["a"], [2.5], [0], [True], []),
    "list": (None, 5, "class", [5], [None], [["class"]], [True]),
}


def declared(name: str) -> Iterator[tuple[str, str]]:
    """Parameters and their kinds, as the comments say."""
    for line in code_of(name)[0].splitlines():
        yield line.split(" = ")[0], line.split("  # ")[1].split(":")[0].removesuffix(" of str")


def is_import(source: str) -> bool:
    return all(isinstance(statement, (ast.Import, ast.ImportFrom)) for statement in ast.parse(source).body)


class Worked(Exception):
    """Something was done with the parameters."""


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(*_: object, **__: object) -> None:
        raise Worked

    for place in (odam_lib, files, images, zoo, base, opening):
        for name in ("load_detector", "load_image", "output_folder", "resolve_device", "open_dataset"):
            if hasattr(place, name):
                monkeypatch.setattr(place, name, work)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_parameter_is_named_before_any_work(name: str, no_work: None) -> None:
    first, *cells = code_of(name)
    known: dict[str, Any] = {}
    while is_import(cells[0]):
        exec(cells.pop(0), known)
    checks = cells[0]
    right = dict(known)
    exec(first, right)
    with pytest.raises(Worked):  # the parameters as they are
        for source in cells:
            exec(source, right)
    kinds = dict(declared(name))
    assert kinds
    for parameter, kind in kinds.items():
        for value in WRONG[kind]:
            given = dict(known)
            exec(first, given)
            given[parameter] = value
            with pytest.raises((TypeError, ValueError)) as caught:
                exec(checks, given)
            said = str(caught.value)
            named = said.lower().replace(" ", "_").removeprefix("the_").startswith(parameter.lower())
            assert named and ": " in said and "\n" not in said, (parameter, value, said)


def test_what_a_person_may_give_is_taken() -> None:
    parameters.texts(NAME="a", OTHER="b c")
    parameters.texts(empty=True, NAME="")
    parameters.choices(("a", "b"), NAME="b")
    parameters.counts(0, NAME=0, OTHER=np.int64(3))
    parameters.count_lists(1, NAME=[1, 10], OTHER=(2,))
    parameters.numbers(0, 1, NAME=0, OTHER=1, THIRD=np.float32(0.5))
    parameters.numbers(NAME=-5)
    parameters.lists(least=0, NAME=[], OTHER=("a",))
    parameters.lists(["a"], NAME=["a", "a"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: parameters.texts(A=" "), "A is ' ': give text that is not empty."),
        (lambda: parameters.texts(A="a\0"), "A is 'a\\x00': give text without a zero byte."),
        (lambda: parameters.choices(("a", "b"), A="c"), "A is 'c': choose among a, b."),
        (lambda: parameters.counts(1, 5, A=6), "A is 6: give a whole number from 1 to 5."),
        (lambda: parameters.counts(1, A=1.0), "A is 1.0: give a whole number from 1 to 1000000."),
        (lambda: parameters.count_lists(1, A=[]), "A is empty: give one whole number or more, as [1, 10]."),
        (lambda: parameters.count_lists(1, A=[1, 0]), "A[1] is 0: give a whole number from 1 to 1000000."),
        (lambda: parameters.numbers(0, 1, A="high"), "A is 'high': give a finite number from 0 to 1."),
        (lambda: parameters.numbers(0, 0.5, above=True, A=0), "A is 0: give a finite number above 0 to 0.5."),
        (lambda: parameters.numbers(A=float("inf")), "A is inf: give a finite number."),
        (lambda: parameters.lists(A=[]), "A is []: give 1 or more."),
        (lambda: parameters.lists(["a"], A=["b"]), "A holds 'b': choose among a."),
    ],
)
def test_the_sentence_says_what_may_be_given(call, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value) == said

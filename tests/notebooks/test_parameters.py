"""Every parameter of every notebook has a rule, whose one sentence names it, before any work."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cells import ROOT, code_of
from odam_chapters.crowds.settings import set_thresholds
from odam_chapters.parameters import Choice, Count, Counts, Names, Number, Rule, Text
from odam_chapters.setup import setup

LISTED = tomllib.loads((ROOT / "tests" / "notebooks.toml").read_text(encoding="utf-8"))
WRONG: dict[str, tuple[Any, ...]] = {
    "str": (5, 2.5, None, True, ["fcos-scenes"], Path("runs")),
    "int": ("4", 2.5, -1, None, True, [4], float("nan"), 10**30),
    "float": ("high", None, True, [0.5], float("nan"), float("inf"), -2.0),
    "list of int": (None, 5, "class", ["a"], [2.5], [0], [True], []),
    "list": (None, 5, "class", [5], [None], [["class"]], [True]),
}


def declared(name: str) -> Iterator[tuple[str, Any, str]]:
    """Parameters, their values and their kinds, as the comments say."""
    for line in code_of(name)[0].splitlines():
        parameter, rest = line.split(" = ", 1)
        value, comment = rest.split("  # ")
        yield parameter, ast.literal_eval(value), comment.split(":")[0].removesuffix(" of str")


def rules_of(name: str) -> Mapping[str, Rule]:
    """What the notebook's chapter says of its parameters."""
    chapter = re.search(r"odam_chapters(?:\.| import (?:\w+, )*)(\w+)(?: as chapter| import)", code_of(name)[1])
    assert chapter
    return import_module(f"odam_chapters.{chapter[1]}").PARAMETERS


@pytest.mark.parametrize("name", LISTED)
def test_every_parameter_has_a_rule_that_takes_what_the_list_of_notebooks_gives(name: str, tmp_path) -> None:
    rules, given = rules_of(name), {parameter: value for parameter, value, _ in declared(name)}
    assert rules.keys() == given.keys()
    for others in ({}, LISTED[name]["test"], LISTED[name]["gpu"]):
        assert setup(rules, given | others | {"OUTPUT_DIR": str(tmp_path / "new")}) == tmp_path / "new"
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize("name", LISTED)
def test_a_wrong_parameter_is_named_before_any_work(name: str, tmp_path) -> None:
    rules, known = rules_of(name), list(declared(name))
    right = {parameter: value for parameter, value, _ in known} | {"OUTPUT_DIR": str(tmp_path / "new")}
    for parameter, _, kind in known:
        for value in WRONG[kind]:
            with pytest.raises((TypeError, ValueError)) as caught:
                setup(rules, right | {parameter: value})
            said = str(caught.value)
            assert said.startswith(parameter) and ": " in said and "\n" not in said, (parameter, value, said)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (Text(), ["a", "b c"]),
        (Text(empty=True), [""]),
        (Choice(("a", "b")), ["b"]),
        (Count(0), [0, np.int64(3)]),
        (Count(0, "MOST"), [5]),
        (Count(0, below="MOST"), [4]),
        (Counts(1), [[1, 10], (2,)]),
        (Number(0, 1), [0, 1, np.float32(0.5)]),
        (Number(), [-5]),
        (Names(least=0), [[], ("a",)]),
        (Names(["a"]), [["a", "a"]]),
    ],
)
def test_what_a_person_may_give_is_taken(rule: Rule, values: list[Any]) -> None:
    for value in values:
        rule("A", value, {"MOST": 5})


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        (Text(), " ", "A is ' ': give text that is not empty."),
        (Text(), "a\0", "A is 'a\\x00': give text without a zero byte."),
        (Choice(("a", "b")), "c", "A is 'c': choose among a, b."),
        (Count(1, 5), 6, "A is 6: give a whole number from 1 to 5."),
        (Count(1), 1.0, "A is 1.0: give a whole number from 1 to 1000000."),
        (Count(1, "MOST"), 6, "A is 6: give a whole number from 1 to 5."),
        (Count(0, below="MOST"), 5, "A is 5: give a whole number from 0 to 4."),
        (Counts(1), [], "A is empty: give one whole number or more, as [1, 10]."),
        (Counts(1), [1, 0], "A[1] is 0: give a whole number from 1 to 1000000."),
        (Number(0, 1), "high", "A is 'high': give a finite number from 0 to 1."),
        (Number(0, 0.5, above=True), 0, "A is 0: give a finite number above 0 to 0.5."),
        (Number(), float("inf"), "A is inf: give a finite number."),
        (Names(), [], "A is []: give 1 or more."),
        (Names(["a"]), ["b"], "A holds 'b': choose among a."),
    ],
)
def test_the_sentence_says_what_may_be_given(rule: Rule, value: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        rule("A", value, {"MOST": 5})
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "91_all_methods",
            {"DATASET": "coco"},
            "DATASET is 'coco', of which no rows are bundled: set ROWS to ''.",
        ),
        ("91_all_methods", {"LEFT_OUT": ["ODAM"]}, "LEFT_OUT leaves ODAM and one more; choose among ODAM,"),
        ("06_odam_train", {"LIVE_SCENES": 5}, "LIVE_SCENES is 5: give 0, or at least 16, a batch."),
        ("07_odam_nms_in_crowds", {"LOW": 0.7, "HIGH": 0.2}, "LOW is 0.7 and HIGH is 0.2: give 0 <= LOW <= HIGH <= 1."),
    ],
)
def test_parameters_that_do_not_go_together_are_told(name: str, given: dict[str, Any], said: str, tmp_path) -> None:
    right = {parameter: value for parameter, value, _ in declared(name)} | {"OUTPUT_DIR": str(tmp_path)}
    with pytest.raises(ValueError, match=re.escape(said)):
        setup(rules_of(name), right | given)


def test_thresholds_that_are_not_given_are_the_detectors() -> None:
    assert set_thresholds("fcos", -1.0, -1.0) == (0.3, 0.6) and set_thresholds("fcos", -1.0, 0.5) == (0.3, 0.5)

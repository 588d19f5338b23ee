"""What ``import odam_lib`` offers, and what it waits for."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import odam_lib

LAZY = ("odam_lib", "odam_lib.datasets", "odam_lib.detectors", "odam_lib.viz")
EAGER = ("odam_lib.evaluation", "odam_lib.explainers", "odam_lib.kernels", "odam_lib.metrics", "odam_lib.training")


def imported(package: str) -> dict[str, str]:
    """The names that a package's source imports for its readers and type checkers, and from where."""
    tree = ast.parse(inspect.getsource(import_module(package)))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {one.asname: node.module for node in imports for one in node.names if one.asname and node.module}


def test_these_are_the_public_names() -> None:
    assert set(odam_lib.__all__) == set(dir(odam_lib)) == {
        "Detections", "HeatMaps", "InstancePicker", "ODAM", "evaluate", "explain", "load_detector", "load_image",
        "odam_nms", "odam_train_loss", "photo", "show_detections", "show_maps", "wrap",
    }  # fmt: skip


@pytest.mark.parametrize("package", LAZY)
def test_what_is_loaded_and_what_type_checkers_see_is_the_same(package: str) -> None:
    module = import_module(package)
    seen = imported(package)
    assert set(seen) == set(module.__all__) == set(dir(module))
    for name, home in seen.items():
        assert getattr(module, name) is getattr(import_module(home), name)
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        _ = module.absent


@pytest.mark.parametrize("package", EAGER)
def test_no_public_name_is_hidden_by_a_module_of_that_name(package: str) -> None:
    """As ``kernels.nms`` would be: the name would mean the one or the other, by what was imported before."""
    module = import_module(package)
    for name, home in imported(package).items():
        assert getattr(module, name) is getattr(import_module(home), name)


NOT_WAITED_FOR = (
    ("sys.path.insert(0, 'tools'); import sweeps.child", "torch"),
    ("import odam_lib", "torch"),
    ("from odam_lib import explain, load_detector, odam_nms, wrap", "matplotlib"),
    ("import odam_lib.evaluation", "matplotlib"),
    ("from odam_lib.viz import show_maps", "ipywidgets"),
)
"""Statements, each after those above it, and what none of them loads: one process for all, for imports take seconds."""


def test_nobody_waits_for_what_was_not_asked_for() -> None:
    asked = "".join(f"{statement}\nassert {absent!r} not in sys.modules\n" for statement, absent in NOT_WAITED_FOR)
    done = subprocess.run([sys.executable, "-c", f"import sys\n{asked}"], cwd=Path(__file__).parents[1])
    assert done.returncode == 0


def test_modules_are_attributes_of_the_package() -> None:
    program = "import odam_lib; odam_lib.images.from_pil, odam_lib.kernels.nms.nms, odam_lib.viz.plots.TITLES"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0

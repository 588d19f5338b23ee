"""Where a line belongs: imports run one way, kernels stand alone, tests lie beside what they test."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from odam_lib.files import data_root

ROOT = data_root().parent
OTHER_TESTS = {"browser", "chapters", "gpu", "notebooks"}
KERNELS = sorted((ROOT / "odam_lib" / "kernels").glob("*.py"))


def imported(path: Path) -> set[str]:
    """The modules that a file imports, by their full names."""
    statements = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for one in statements if isinstance(one, ast.Import) for alias in one.names}
    return plain | {one.module or "" for one in statements if isinstance(one, ast.ImportFrom)}


def test_imports_run_one_way() -> None:
    """The contracts of ``[tool.importlinter]`` in ``pyproject.toml``."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_a_kernel_imports_torch_numpy_and_scipy_only(path: Path) -> None:
    allowed = {"torch", "torchvision", "numpy", "scipy", *sys.stdlib_module_names}
    strange = {
        name
        for name in imported(path)
        if name.split(".")[0] not in allowed and not f"{name}.".startswith("odam_lib.kernels.")
    }
    assert not strange


def test_tests_mirror_the_library() -> None:
    packages = {path.parent.name for path in (ROOT / "odam_lib").glob("*/__init__.py")}
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders == packages | OTHER_TESTS


@pytest.mark.parametrize("package", ["odam_lib", "notebooks/odam_chapters"])
def test_a_module_can_be_read_in_one_sitting(package: str) -> None:
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / package).rglob("*.py")}
    assert {path: number for path, number in lines.items() if number > 400} == {}

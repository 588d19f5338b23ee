"""Everything that needs a GPU: the tests marked ``gpu``, then the benchmark, under eight minutes and without a network.

Command: ``python tools/gpu_check.py --help``; where there is no GPU it says so and ends well.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import torch

from odam_lib.command import command
from odam_lib.files import output_folder

ROOT = Path(__file__).resolve().parent.parent


def marked() -> list[str]:
    """The test files in which something is marked ``gpu``; no other needs to be importable where this runs."""
    return [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text("utf-8")]


def revision() -> str:
    """Of the sources, as git names it; empty where these are no checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@command
def main() -> None:
    """Run the tests, then measure; the exit status is the tests' own."""
    parser = argparse.ArgumentParser(description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output", default=str(ROOT / "runs" / "gpu-check"), help="folder of the report and figure")
    parser.add_argument("--revision", default=revision(), help="of the sources, if git does not know it here")
    arguments = parser.parse_args()
    output_folder(arguments.output)
    if not torch.cuda.is_available():
        print("gpu-check is skipped: PyTorch sees no CUDA device on this machine.")
        return
    tests = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "--durations", "5", *marked()]
    failed = subprocess.run(tests, cwd=ROOT).returncode
    options = ["--device", "cuda", "--output", arguments.output, "--revision", arguments.revision]
    measured = subprocess.run([sys.executable, "-m", "odam_chapters.costs.device", *options], cwd=ROOT).returncode
    raise SystemExit(failed or measured)


if __name__ == "__main__":
    main()

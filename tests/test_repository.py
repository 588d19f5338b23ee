"""What the repository promises about itself: README, environment files, workflows."""

import re
import subprocess
import sys
import tomllib

import yaml
from PIL import Image

from odam_lib.files import data_root

ROOT = data_root().parent
CONDA_NAMES = {"torch": "pytorch"}


def test_the_readmes_eight_lines_run_as_printed(tmp_path) -> None:
    code = re.search(
        r"```python\n(import odam_lib.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
    ).group(1)
    assert len(code.strip().splitlines()) == 8
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Detections(") and "'x2'" in done.stdout
    assert Image.open(tmp_path / "maps.png").width > 600


def test_the_readmes_other_python_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks[1:]:
        exec(block, {"__name__": "__main__"})


def test_environment_yml_is_in_step_with_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["notebooks"] + extras["detr"] + extras["pvt"] + extras["data"]
    parts = [re.fullmatch(r"([\w-]+)(.*)", requirement).groups() for requirement in wanted]
    expected = {CONDA_NAMES.get(name, name) + versions for name, versions in parts}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    plain = {entry for entry in listed if isinstance(entry, str) and entry != "pip"}
    assert plain == expected | {f"python{project['requires-python']}"}


def test_workflows_parse_and_use_the_makefile() -> None:
    for name in ("ci", "gpu", "site"):
        workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))
        steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
        assert any("make" in step for step in steps)


def test_citation_parses_and_names_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["license"] == "Apache-2.0" and citation["preferred-citation"]["year"] == 2023

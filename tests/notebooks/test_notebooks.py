"""The notebooks: their anatomy, their stored outputs, and that they run from a clean kernel with other parameters."""

import base64
import importlib.util
import io
import json
import re
import shutil

import nbformat
import pytest
from cells import run_cells
from PIL import Image

from odam_lib.datasets.scenes import Scenes
from odam_lib.datasets.scenes.export import export
from odam_lib.detectors.zoo import ZOO
from odam_lib.files import data_root

ROOT = data_root().parent
spec = importlib.util.spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
NAMES = list(tool.listed())
BUNDLED = [*(name for name in ZOO if name.endswith("-scenes")), "yolov3-tiny"]


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code_cells(name: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


def test_every_notebook_is_in_the_list_and_in_the_readme() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == sorted(NAMES)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, entry in tool.listed().items():
        assert f"notebooks/{name}.ipynb" in readme and entry["question"] in readme and entry["activity"] in readme


@pytest.mark.parametrize("name", NAMES)
def test_anatomy(name: str) -> None:
    notebook = read(name)
    cells = code_cells(name)
    assert (
        re.match(r"# \d\d  .*\?", notebook.cells[0].source)
        and tool.listed()[name]["question"] in notebook.cells[0].source
    )
    assert [cell.metadata.get("tags", []) for cell in cells].count(["parameters"]) == 1
    assert cells[0].metadata.tags == ["parameters"]
    for line in cells[0].source.splitlines():
        assert re.fullmatch(r"[A-Z_]+ = [^#]+  # [a-z ]+: .+", line), line
    lengths = sorted(len([line for line in cell.source.splitlines() if line.strip()]) for cell in cells)
    assert lengths[-1] <= 15
    markdown = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert len(markdown) >= len(cells) - 2
    assert sum(source.count("**Exercise") for source in markdown) >= 2
    for heading in ("**You will learn**", "**You need**", "What we saw", "**Limits.**", "**Next.**"):
        assert any(heading in source for source in markdown), heading


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs_are_complete_and_clean(name: str) -> None:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    assert path.stat().st_size < 2_500_000
    notebook = read(name)
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert set(notebook.metadata) == {"kernelspec"}
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert not any(tool.WIDGET_VIEW in output.get("data", {}) for output in outputs)
    for output in outputs:
        if picture := output.get("data", {}).get("image/png"):
            assert Image.open(io.BytesIO(base64.b64decode(picture))).mode == "P"  # a third of the size


def detectors_of(name: str) -> list[str]:
    """What DETECTOR of a notebook may be."""
    return tool.listed()[name].get("detectors", BUNDLED)


BY_PAPERMILL = ("00_quickstart", "90_what_an_explanation_costs")
"""From a clean kernel: the first, and the one that nbval leaves out, which starts a kernel for each of the others."""


@pytest.mark.parametrize("name", BY_PAPERMILL)
def test_papermill_runs_it_from_a_clean_kernel_with_other_parameters(name: str, tmp_path) -> None:
    parameters = tool.listed()[name]["test"] | {"OUTPUT_DIR": str(tmp_path / "out"), "DETECTOR": detectors_of(name)[0]}
    executed = tool.run(tool.kept(name)[0], parameters, tmp_path / f"{name}.ipynb")
    assert not any(output.output_type == "error" for cell in executed.cells for output in cell.get("outputs", []))
    assert len(list((tmp_path / "out").glob("*.png"))) >= 3
    tool.to_html(executed, tmp_path / f"{name}.html")
    page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") >= 3 and tool.WIDGET_VIEW not in page


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_a_page_that_holds_its_pictures(name: str, tmp_path) -> None:
    tool.to_html(read(name), tmp_path / f"{name}.html")
    page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64") >= 3 and "What we saw" in page


TRIED_AS_RETINANET = "retinanet-pvt-scenes"
"""Its head and levels are RetinaNet's; what its backbone changes is tried in tests/detectors and by 02's own cells."""


@pytest.mark.parametrize(
    ("name", "detector"),
    [(name, one) for name in NAMES for one in detectors_of(name)[name in BY_PAPERMILL :] if one != TRIED_AS_RETINANET],
)
def test_runs_with_other_parameters_and_every_detector(name: str, detector: str, tmp_path) -> None:
    run_cells(name, tool.listed()[name]["test"] | {"OUTPUT_DIR": str(tmp_path), "DETECTOR": detector})
    assert len(list(tmp_path.glob("*.png"))) >= 3


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"SCORE_THRESHOLD": 1.5}, "is 1.5"),
        ({"DETECTOR": "yolo"}, "DETECTOR is 'yolo': choose among fcos-scenes, "),
        ({"ATTRIBUTES": ["left"]}, "'left'"),
        ({"DEVICE": "tpu9"}, "device 'tpu9' is not usable"),
        ({"IMAGE": "absent.jpg"}, "no picture at"),
        ({"OUTPUT_DIR": "README.md/runs"}, "cannot be written"),
    ],
)
def test_quickstart_refuses_bad_parameters_before_any_work(parameters: dict, sentence: str, tmp_path) -> None:
    with pytest.raises((ValueError, OSError), match=re.escape(sentence)):
        run_cells("00_quickstart", {"OUTPUT_DIR": str(tmp_path)} | parameters)
    assert not list(tmp_path.glob("*.png"))


def test_quickstart_with_nothing_found_ends_with_a_sentence(tmp_path) -> None:
    texts = run_cells("00_quickstart", {"SCORE_THRESHOLD": 1.0, "OUTPUT_DIR": str(tmp_path)})
    assert any(text.startswith("0 objects") for text in texts)


@pytest.mark.parametrize(
    ("name", "printed"), [("07_odam_nms_in_crowds", "in the crowd set"), ("92_crowd_tables", "recall crowd")]
)
def test_crowds_may_come_from_a_folder_of_crowdhuman(name: str, printed: str, tmp_path) -> None:
    """The bundled crowds, laid out as CrowdHuman's archives are."""
    root, bundled = tmp_path / "crowdhuman", data_root() / "scenes" / "crowd"
    shutil.copytree(bundled / "images", root / "Images")
    shutil.copy(bundled / "annotations.odgt", root / "annotation_val.odgt")
    by = {"DATASET": "crowdhuman", "ROOT": str(root)} if name.startswith("07") else {"DATASET": str(root)}
    given = by | {"OUTPUT_DIR": str(tmp_path / "out")}
    texts = run_cells(name, tool.listed()[name]["test"] | given)
    assert any(printed in text for text in texts)
    assert "the same" not in [text.strip() for text in texts]  # the bundled results are of other crowds
    with pytest.raises(OSError, match="Images is missing"):
        absent = {"DATASET": "crowdhuman", "ROOT": str(tmp_path / "absent"), "OUTPUT_DIR": str(tmp_path / "none")}
        run_cells(name, given | absent)
    assert not list((tmp_path / "none").glob("*.png"))


def test_maps_may_be_judged_on_own_data_without_masks(tmp_path) -> None:
    export(Scenes("val", 5), tmp_path, workers=0)
    path = tmp_path / "annotations.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    content["categories"].append({"id": 40, "name": "unicorn"})
    path.write_text(json.dumps(content), encoding="utf-8")
    own = {"DATASET": str(path), "ROOT": str(tmp_path / "images"), "OUTPUT_DIR": str(tmp_path)}
    name = "91_all_methods"
    printed = "".join(run_cells(name, tool.listed()[name]["test"] | own))
    assert "Left out: VEA, VEA best, pointing mask" in printed and "fcos-scenes cannot detect: unicorn" in printed
    assert "best by energy box" in printed and "best by ODI box" in printed and "best by VEA" not in printed
    with pytest.raises(OSError, match="There is no annotation file"):
        run_cells(name, own | {"DATASET": "coco", "ANNOTATIONS": "absent.json", "ROWS": ""})


def test_mistakes_may_be_looked_for_in_own_data_by_a_detector_of_other_classes(tmp_path) -> None:
    """YOLO knows COCO's classes."""
    export(Scenes("val", 2), tmp_path, workers=0)
    own = {"KIND": "coco", "ROOT": str(tmp_path / "images"), "ANNOTATIONS": str(tmp_path / "annotations.json")}
    given = {"PICTURES": 2, "DETECTOR": "yolov3-tiny", "OUTPUT_DIR": str(tmp_path)}
    name = "09_your_own_detector"
    texts = run_cells(name, tool.listed()[name]["test"] | own | given)
    assert any("yolov3-tiny cannot know: 0 of" in text for text in texts)
    assert any("yolov3-tiny on 2 pictures" in text for text in texts)
    with pytest.raises(OSError, match="There is no annotation file"):
        run_cells(name, own | given | {"ANNOTATIONS": "absent.json"})

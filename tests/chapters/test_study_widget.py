"""The questionnaire without a browser: what a page may send, what it is told, and what is on the disk."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from odam_chapters.study.answers import AnswerFile
from odam_chapters.study.collecting import read_pointings, read_rankings
from odam_chapters.study.items import DISCRIMINATION, TRUST
from odam_chapters.study.widget import Questionnaire
from study_items import METHODS, make_pointed, make_ranked

from odam_lib.files import data_root

ORDER = {"order": [3, 1, 0, 2]}


@pytest.fixture
def file(tmp_path: Path) -> AnswerFile:
    made = AnswerFile(tmp_path / "answers.sqlite")
    made.keep(TRUST, make_ranked(4))
    made.keep(DISCRIMINATION, make_pointed(4))
    return made


def step(form: Questionnaire, do: str, **message: Any) -> dict[str, Any]:
    """Send one step as a page does; returns what is shown then."""
    form.receive({"do": do, **message})
    return form._shown


def test_a_person_agrees_answers_pauses_and_is_done(file: AnswerFile) -> None:
    form = Questionnaire(file, TRUST)
    assert form._shown["screen"] == "consent" and "4 pictures" in form._about["consent"][0]
    shown = step(form, "begin")
    for place in range(4):
        assert (shown["screen"], shown["place"], shown["answered"], shown["of"]) == ("question", place, place, 4)
        assert len(read_rankings([file.path], TRUST)) == place
        if place == 2:
            assert step(form, "pause")["screen"] == "paused" and form._pictures == {}
            assert step(form, "go on")["place"] == 2
        shown = step(form, "answer", place=place, given=ORDER)
    assert shown["screen"] == "done" and repr(form).endswith("question 5)")
    assert {one.person for one in read_rankings([file.path], TRUST)} == {int(shown["person"])}
    assert step(form, "leave")["screen"] == "consent" and step(form, "begin")["answered"] == 0


def test_the_page_is_never_told_which_map_is_whose(file: AnswerFile) -> None:
    for study in (TRUST, DISCRIMINATION):
        form = Questionnaire(file, study)
        shown = step(form, "begin")
        told = json.dumps({"about": form._about, "shown": shown, "pictures": list(form._pictures)})
        assert not any(name in told for name in (*METHODS, "item ", "origin", "target", "odi"))
        sitting = file.resume(study, int(shown["person"]))
        item = next(each for each in file.items(study) if each.name == sitting.plan[0].item)
        maps = [form._pictures[str(place)] for place in range(len(sitting.plan[0].shown))]
        assert maps == [item.maps[condition] for condition in sitting.plan[0].shown]


def test_another_kernel_goes_on_with_the_number(file: AnswerFile) -> None:
    form = Questionnaire(file, TRUST)
    number = step(form, "begin")["person"]
    step(form, "answer", place=0, given=ORDER)
    again = Questionnaire(file.path, TRUST)
    assert step(again, "resume", person=f" {number} ")["place"] == 1
    for wrong, said in (("", "is no number"), ("1e5", "is no number"), ("¹²", "is no number"), ("7", "Nobody with")):
        step(again, "resume", person=wrong)
        assert said in again.error
    assert step(again, "answer", place=1, given=ORDER)["place"] == 2 and again.error == ""


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"do": "answer", "place": 0, "given": {"order": [0, 1]}}, "2 of 4 maps have no place yet"),
        ({"do": "answer", "place": 0}, "4 of 4 maps have no place yet"),
        ({"do": "answer", "place": 1, "given": ORDER}, "was answered already"),
        ({"do": "answer", "given": ORDER}, "was answered already"),
        ({"do": "steal"}, "no step that is known"),
        ({"do": ["begin"]}, "no step that is known"),
        ("begin", "no step that is known"),
        (None, "no step that is known"),
    ],
)
def test_a_wrong_step_changes_nothing_and_is_told(file: AnswerFile, message: Any, said: str) -> None:
    form = Questionnaire(file, TRUST)
    before = step(form, "begin")
    form.receive(message)
    assert said in form.error and form._shown | {"steps": 0} == before | {"steps": 0}
    assert form._shown["steps"] > before["steps"]  # so that the page notices
    assert read_rankings([file.path], TRUST) == []


def test_nobody_answers_before_consent(file: AnswerFile) -> None:
    form = Questionnaire(file, TRUST)
    for do in ("answer", "pause", "go on", "delete"):
        step(form, do, place=0, given=ORDER)
        assert "Nobody has begun" in form.error and form._shown["screen"] == "consent"


def test_two_windows_with_one_number_do_not_mix(file: AnswerFile) -> None:
    first, second = Questionnaire(file, TRUST), Questionnaire(file, TRUST)
    number = step(first, "begin")["person"]
    step(second, "resume", person=number)
    step(first, "answer", place=0, given=ORDER)
    shown = step(second, "answer", place=0, given={"order": [0, 1, 2, 3]})
    assert "in another window" in second.error and shown["place"] == 1
    assert [one.ranks[one.shown[3]] for one in read_rankings([file.path], TRUST)] == [1]
    step(second, "delete")
    assert step(first, "answer", place=1, given=ORDER) and "Nobody with the number" in first.error


def test_a_page_may_set_nothing(file: AnswerFile) -> None:
    form = Questionnaire(file, TRUST)
    before = dict(form._about)
    form.set_state({"_about": {}, "<b>": 1})
    assert form._about == before and "'<b>', '_about' cannot be chosen here." in form.error


def test_an_error_of_the_disk_is_told_and_nothing_is_lost(file: AnswerFile, monkeypatch: pytest.MonkeyPatch) -> None:
    form = Questionnaire(file, TRUST)
    step(form, "begin")

    def full(*arguments: Any) -> None:
        raise OSError("answers.sqlite cannot be written (database or disk is full)")

    monkeypatch.setattr(AnswerFile, "record", full)
    assert step(form, "answer", place=0, given=ORDER)["place"] == 0 and "disk is full" in form.error
    monkeypatch.undo()
    assert step(form, "answer", place=0, given=ORDER)["place"] == 1 and form.error == ""


def test_an_object_or_a_box_is_an_answer(file: AnswerFile) -> None:
    form = Questionnaire(file, DISCRIMINATION)
    step(form, "begin")
    step(form, "answer", place=0, given={"chosen": 1, "drawn": None, "confidence": 2})
    step(form, "answer", place=1, given={"chosen": None, "drawn": [30, 5, 50, 55], "confidence": 5})
    assert [(one.right, one.confidence) for one in read_pointings([file.path], DISCRIMINATION)] == [
        (True, 2),
        (True, 5),
    ]


def test_a_still_picture_is_there_where_no_kernel_runs(file: AnswerFile) -> None:
    for study in (TRUST, DISCRIMINATION):
        data, _ = Questionnaire(file, study)._repr_mimebundle_()
        assert data["image/png"].startswith("iVBOR")
    assert repr(Questionnaire(file, TRUST)) == "Questionnaire(trust, 4 questions, nobody answers)"


def test_the_cells_of_the_documentation_run(
    file: AnswerFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(file.path.parent)
    text = (data_root().parent / "docs" / "study.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})
    assert capsys.readouterr().out.startswith("0 people\n")


def test_who_answers_needs_no_pytorch(file: AnswerFile) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from odam_chapters import study\n"
        "form = study.Questionnaire(sys.argv[1], study.TRUST)\n"
        "form.receive({'do': 'begin'}); form._repr_mimebundle_(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file.path), *sys.path]).returncode == 0


def test_a_questionnaire_that_is_not_there_is_told(file: AnswerFile, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no questionnaire 'trust'"):
        Questionnaire(tmp_path / "new.sqlite", TRUST)
    with pytest.raises(FileExistsError, match="is a folder"):
        Questionnaire(tmp_path, TRUST)

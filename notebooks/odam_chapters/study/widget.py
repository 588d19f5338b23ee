"""A questionnaire that a person answers, one question at a time. Needs the extra ``notebooks`` (anywidget).

Nothing here imports PyTorch: of a class every person has a kernel, which would take half a gigabyte.
"""

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
from traitlets import Bytes, Dict, Unicode

from odam_chapters import STATIC
from odam_chapters.study.answers import AnswerFile, Sitting
from odam_chapters.study.given import SUREST
from odam_chapters.study.items import Study
from odam_lib.viz.scripts import STATIC as SHARED, read_front_end
from odam_lib.viz.sheets import LONGEST_LINE, make_legible

CONSENT = (
    "You will see {number} pictures and are asked about each. There is no trick, and no answer is wrong of itself.",
    "Kept are your answers and the time that each took, under a number drawn at random: no name, no address, nothing "
    "about your computer. Whoever runs this questionnaire can read and publish the answers.",
    "You may stop at any time, and delete your answers as long as you have your number. You are of age, and take part "
    "of your own free will.",
)
"""What a person agrees to before the first question; a questionnaire may be given another text."""

HELP = {
    "pair": "Click the better map; click the other one to change your mind. By keyboard: Tab, then Enter.",
    "rank": "Click the maps from the best to the worst; click again to take a place away. By keyboard: Tab, then "
    "Enter, or a digit for the place.",
    "point": "Click an object, or drag a box around it; arrow keys choose, too. Bright is where the map is high.",
}
SILENT = (
    "The kernel does not answer, and this step may not be saved. Run the cell again, and go on with your number: what "
    "was told as saved is."
)


class Questionnaire(anywidget.AnyWidget):
    """A questionnaire: consent, questions, an end. Every answer is on the disk before the next question is shown.

    The front end sends what a person does as messages and may set nothing. It is never told which map is whose: maps
    are sent by their place on the screen.

    Args:
        answers: the file that holds the questionnaire's items, see :meth:`AnswerFile.keep`; or its path.
        study: the questionnaire.
        consent: what a person agrees to; ``{number}`` stands for the number of questions.

    Attributes:
        error: why the last step was refused; else empty. The front end shows it as text.
        answers: the file.

    Raises:
        OSError: the file cannot be written.
        ValueError: it is damaged or foreign, or holds no such questionnaire.
    """

    _esm = read_front_end(STATIC / "study.js")
    _css = "\n".join(path.read_text(encoding="utf-8") for path in (SHARED / "picker.css", STATIC / "study.css"))

    error = Unicode().tag(sync=True)
    _about = Dict(help="what never changes").tag(sync=True)
    _shown = Dict(help="the screen, and what is on it").tag(sync=True)
    _pictures = Dict(value_trait=Bytes(), help="PNG of the picture, and of the maps by place").tag(sync=True)

    def __init__(self, answers: AnswerFile | str | Path, study: Study, consent: tuple[str, ...] = CONSENT) -> None:
        self.answers = answers if isinstance(answers, AnswerFile) else AnswerFile(answers)
        self._study, items = study, self.answers.items(study)
        self._items = {item.name: item for item in items}
        self._still = self.answers.read_still(study)
        self._sitting: Sitting | None = None
        self._paused, self._steps, self._farewell = False, 0, ""
        self._spent, self._since = 0.0, 0.0
        lines = [make_legible(line.replace("{number}", str(len(items))), 10 * LONGEST_LINE) for line in consent]
        about = {"title": f"Questionnaire: {study.name}", "kind": study.kind, "question": study.question}
        super().__init__(_about=about | {"consent": lines, "silent": SILENT})
        self._show()
        self.on_msg(lambda _, message, buffers: self.receive(message))

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Refuse a message that sets something: a front end sends steps only."""
        self.error = ", ".join(sorted(make_legible(repr(name)) for name in sync_data)) + " cannot be chosen here."
        self._show()
        self.send_state()

    def receive(self, message: Any) -> None:
        """Take one step of the person: ``do`` is begin, resume, answer, pause, go on, delete or leave."""
        steps = {
            "begin": self._begin,
            "resume": self._resume,
            "answer": self._answer,
            "pause": self._pause,
            "go on": self._go_on,
            "delete": self._delete,
            "leave": self._leave,
        }
        message = message if isinstance(message, Mapping) else {}
        try:
            said = ""
            step = steps.get(str(message.get("do")))
            if step is None:
                raise ValueError("The page sent no step that is known: run the cell again.")
            step(message)
        except (ValueError, OSError) as error:
            said = make_legible(str(error), 2 * LONGEST_LINE)
        except Exception as error:
            said = make_legible(f"This step failed: {error}", 2 * LONGEST_LINE)
            raise
        finally:
            self.error = said
            self._show()

    def _begin(self, message: Mapping[str, Any]) -> None:
        if self._sitting is None:
            self._sit(self.answers.begin(self._study))

    def _resume(self, message: Mapping[str, Any]) -> None:
        text = str(message.get("person", "")).strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise ValueError(f"{make_legible(text)!r} is no number: give the eight digits that you noted.")
        self._sit(self.answers.resume(self._study, int(text)))

    def _sit(self, sitting: Sitting) -> None:
        self._sitting, self._paused = sitting, False
        self._spent, self._since = 0.0, time.monotonic()

    def _answer(self, message: Mapping[str, Any]) -> None:
        sitting = self._seated()
        if message.get("place") != sitting.place or sitting.place == len(sitting.plan):
            raise ValueError("That question was answered already: this is the next one.")
        item = self._items[sitting.plan[sitting.place].item]
        seconds = round(self._spent + time.monotonic() - self._since, 1)
        try:
            sitting = self.answers.record(self._study, sitting, item, message.get("given"), seconds)
        except ValueError:
            self._sitting = self.answers.resume(self._study, sitting.person)  # another window may have gone on
            raise
        self._sit(sitting)

    def _pause(self, message: Mapping[str, Any]) -> None:
        self._seated()
        if not self._paused:
            self._paused, self._spent = True, self._spent + time.monotonic() - self._since

    def _go_on(self, message: Mapping[str, Any]) -> None:
        self._seated()
        if self._paused:
            self._paused, self._since = False, time.monotonic()

    def _delete(self, message: Mapping[str, Any]) -> None:
        person = self._seated().person
        self.answers.forget(self._study, person)
        self._sitting, self._farewell = None, f"Everything that was kept of number {person} is deleted."

    def _leave(self, message: Mapping[str, Any]) -> None:
        self._sitting, self._farewell = None, ""

    def _seated(self) -> Sitting:
        if self._sitting is None:
            raise ValueError("Nobody has begun: agree first, or give your number.")
        return self._sitting

    def _show(self) -> None:
        """Tell the front end which screen it is; the count of steps makes every answer a change that it notices."""
        self._steps += 1
        sitting, pictures = self._sitting, dict[str, bytes]()
        if sitting is None:
            shown: dict[str, Any] = {"screen": "consent", "said": self._farewell}
        else:
            shown = {"answered": len(sitting.answered), "of": len(sitting.plan), "person": str(sitting.person)}
            done = sitting.place == len(sitting.plan)
            shown["screen"] = "done" if done else "paused" if self._paused else "question"
            if shown["screen"] == "question":
                question = sitting.plan[sitting.place]
                item = self._items[question.item]
                maps = {str(place): item.maps[condition] for place, condition in enumerate(question.shown)}
                pictures = {"picture": item.picture} | maps
                shown |= {"place": sitting.place, "maps": len(maps), "asked": item.asked, "size": item.size}
                shown |= {"box": item.box, "edge": item.edge, "objects": item.objects, "surest": SUREST}
                shown["help"] = HELP["pair" if len(maps) == 2 else self._study.kind]
        with self.hold_sync():  # one message: pictures never stand under another question
            self._pictures = pictures
            self._shown = shown | {"steps": self._steps}

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The live view, and a still picture of one question for places where no kernel runs."""
        data, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return data | {"image/png": base64.b64encode(self._still).decode()}, metadata

    def __repr__(self) -> str:
        state = "nobody answers" if self._sitting is None else f"question {self._sitting.place + 1}"
        return f"Questionnaire({self._study.name}, {len(self._items)} questions, {state})"

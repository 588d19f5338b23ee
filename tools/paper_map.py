"""The map of the paper, made from rows of measurements: ``python tools/paper_map.py write``.

``paper_map.toml`` beside this file lists what the paper says and which rows answer it. From it and from the rows come
``notebooks/README.md`` (the map), ``notebooks/tables.md`` (the tables) and the table of claims in ``README.md``.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import crowd_estimates
import torch
from crowd_estimates import estimate_asked, estimate_crowds
from odam_chapters.crowds.results import load_results
from odam_chapters.crowds.tables import tabulate_scores_in_markdown
from odam_chapters.judging.own_masks import OF_ALL, OF_CLASS, count_own_mask_wins, read_rows as read_own_masks
from paper_measures import MEASURES
from paper_numbers import (
    MARKS,
    MISSING,
    ROOT,
    Number,
    UnmeasuredError,
    evaluation,
    find_notebook,
    label,
    printed,
    read_table,
    rows_at,
    settings,
)

from odam_lib.command import command
from odam_lib.evaluation.tables import FURTHER, as_markdown, select_metrics, write_markdown
from odam_lib.files import data_root, write_whole

MAP, TABLES, FRONT = (ROOT / name for name in ("notebooks/README.md", "notebooks/tables.md", "README.md"))
OWN_MASKS = "own-masks-yolov3-tiny"
SEVERAL = ("files", "pairs", "detectors", "of", "variants")
"""Arguments of measures that name several things, which are measured one by one."""
BEGIN, END = "<!-- claims: made by tools/paper_map.py -->", "<!-- end of claims -->"


def answer(item: dict[str, Any]) -> list[Number]:
    """Everything that was measured for an item; what was not is said of each detector apart."""
    numbers: list[Number] = []
    for asked in item.get("measures", []):
        given = {name: value for name, value in asked.items() if name != "kind"}
        several = next((name for name in SEVERAL if isinstance(given.get(name), list)), None)
        for one in given[several] if several else [None]:
            chosen = given | {several: [one]} if several else given
            try:
                numbers += list(MEASURES[asked["kind"]](**chosen))
            except UnmeasuredError:
                of = one if isinstance(one, str) else one[0] if one else ""
                numbers.append(Number(label(of), MISSING, verdict=MISSING))
    return numbers


@cache
def answer_all() -> list[tuple[dict[str, Any], list[Number]]]:
    """Every item with what was measured for it."""
    return [(item, answer(item)) for item in settings()["item"]]


def conclude(item: dict[str, Any], numbers: Sequence[Number]) -> str:
    """The verdict on an item: its own, or what its numbers say together."""
    if "verdict" in item:
        return str(item["verdict"])
    said = [one.verdict for one in numbers if one.verdict]
    if len(set(said)) == 1:
        return said[0]
    counted = [f"{said.count(word)} {word}" for word in (*MARKS, MISSING) if word in said]
    return f"in part: {', '.join(counted)}"


def describe(item: dict[str, Any], numbers: Sequence[Number]) -> str:
    """The cell of our numbers: what is said of the item, and a line for each detector."""
    lines = [item["here"]] if "here" in item else []
    for (of, n), some in groupby(numbers, key=lambda one: (one.of, one.n)):
        name = f"{of} (n = {n})" if of and n else of or (f"n = {n}" if n else "")
        texts = "; ".join(str(one) for one in some)
        lines.append(f"{name}: {texts}" if name else texts)
    return "<br>".join(lines)


@cache
def list_headings(number: str) -> tuple[str, ...]:
    """The headings of a notebook, as Jupyter names them."""
    cells = json.loads(find_notebook(number).read_text(encoding="utf-8"))["cells"]
    lines = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown").splitlines()
    return tuple(line.lstrip("#").strip() for line in lines if re.match(r"#+ ", line))


def link(place: str, base: str) -> str:
    """A link to ``03#words of a heading`` or to ``odam_lib/kernels/odam.py:name``.

    Args:
        place: where something is.
        base: the folder of the repository in which the text with the link lies, ``notebooks/`` or empty.

    Raises:
        ValueError: no such place, or several headings with these words.
    """
    if "#" in place:
        number, _, words = place.partition("#")
        fitting = [heading for heading in list_headings(number) if words in heading]
        if len(fitting) != 1:
            raise ValueError(
                f"{len(fitting)} headings of notebook {number} have the words {words!r}: give other words."
            )
        section = re.match(r"\d+(?=\. )", fitting[0])
        path = f"notebooks/{find_notebook(number).name}#{quote(fitting[0].replace(' ', '-'), safe='')}"
        name = f"{number} §{section[0]}" if section else number
    else:
        path, _, inside = place.partition(":")
        text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
        if not text or (inside and not re.search(rf"^(def|class) {inside}\b|^{inside} =", text, re.MULTILINE)):
            raise ValueError(f"There is no {inside or 'file'} at {path}: give another place.")
        name = f"`{inside or Path(path).name}`"
    return f"[{name}]({path.removeprefix(base) if path.startswith(base) else '../' + path})"


def write_map() -> str:
    """The text of the map."""
    said, lines, found = settings(), [], answer_all()
    for group in said["group"]:
        table = [["item", "the paper says", "here", "the paper's number", "verdict", "where"]]
        for item, numbers in found:
            if item["group"] == group["key"]:
                places = ", ".join(link(place, "notebooks/") for place in item.get("where", []))
                cells = (item["name"], item["claim"], describe(item, numbers), item.get("paper", ""))
                table.append([*cells, conclude(item, numbers), places])
        lines += [f"## {group['name']}", *filter(None, [group.get("text")]), write_markdown(table)]
    verdicts = [conclude(item, numbers) for item, numbers in found]
    words = ["in part" if word.startswith("in part") else word for word in verdicts]
    counted = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    compared = sum(one.verdict in MARKS for _, numbers in found for one in numbers)
    head = said["map"].strip().format(items=len(found), counted=counted, compared=compared)
    return "\n\n".join([head, *lines]) + "\n"


def write_claims() -> str:
    """The table of claims of README.md."""
    rows = [["claim", "here, with the 95 % interval", "verdict", "where"]]
    front = [(item, numbers) for item, numbers in answer_all() if "front" in item]
    for item, numbers in sorted(front, key=lambda one: one[0]["front"]):
        places = ", ".join(link(place, "") for place in item["where"])
        rows.append([item["claim"], describe(item, numbers), conclude(item, numbers), places])
    return f"{BEGIN}\n{write_markdown(rows)}\n{END}"


def table_means(file: str, least_iou: float = 0.0) -> str:
    """Means of every method, by the metrics of the paper's comparison and by further ones."""
    found = evaluation(file, least_iou)
    further = [name for name in FURTHER if name in found.metrics]
    tables = [as_markdown(found, metrics) for metrics in (select_metrics(found), further) if metrics]
    return "\n\n".join([f"{found.objects - found.undetected} objects:", *tables])


def table_paired(file: str, method: str = "ODAM") -> str:
    """A method minus each other one, object by object."""
    found, compare = evaluation(file), MEASURES["pairs"]
    metrics, others = select_metrics(found), [name for name in found.methods if name != method]
    rows = [[f"{method} minus", *metrics]]
    for other in others:
        pairs = (compare(files=[file], metrics=[metric], others=[other], method=method) for metric in metrics)
        rows.append([other, *(str(next(pair)) for pair in pairs)])
    return write_markdown(rows)


def table_crowds(without: Sequence[str] = ()) -> str:
    """Every rule of suppression on every crowd detector."""
    results = load_results()
    pairs = [(name, rule) for name in results.detectors for rule in results.rules(name) if rule not in without]
    crowd_estimates.asked().update(pairs)  # all of them, before the first that is not kept ends this
    try:
        scores = {pair: estimate_crowds(*pair) for pair in pairs}
    except KeyError as error:
        raise UnmeasuredError(str(error)) from error
    return f"{len(results.truth)} crowds:\n\n{tabulate_scores_in_markdown(scores)}"


def table_cards(detectors: Sequence[str]) -> str:
    """Parameters and precision of bundled weights."""
    rows = [["name", "parameters", "AP50", "AP", "measured on"]]
    for name in detectors:
        card = json.loads((data_root() / "weights" / f"{name}.json").read_text(encoding="utf-8"))
        named = f"[`{name}`](../data/weights/{name}.json)"
        size = f"{card['parameters'] / 1e6:.1f} M"
        rows.append([named, size, f"{card['AP50']:.3f}", f"{card['AP']:.3f}", card["measured_on"]])
    return write_markdown(rows)


def table_rows(file: str, columns: Sequence[str]) -> str:
    """Some columns of a file as they are."""
    return write_markdown([list(columns), *([row[name] for name in columns] for row in read_table(file))])


def table_own_masks() -> str:
    """How many maps have more energy in their own object's mask than in another's."""
    rows, found = [["against", "maps", "ODAM", "Grad-CAM on the same level"]], read_own_masks(rows_at(OWN_MASKS))
    for name, others in {"other objects of the class": OF_CLASS, "any other object": OF_ALL}.items():
        counts = [count_own_mask_wins(found, method, others) for method in ("ODAM", "Grad-CAM")]
        cells = (f"{wins / number:.0%} ({wins})".replace("%", " %") for wins, number in counts)
        rows.append([name, str(counts[0][1]), *cells])
    return write_markdown(rows)


def table_groups(file: str, by: Sequence[str], columns: Sequence[str]) -> str:
    """Means of some columns by the values of others, in the order of the file."""
    grouped: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in read_table(file):
        grouped.setdefault(tuple(row[name] for name in by), []).append(row)
    rows = [[*by, "n", *columns]]
    for key, some in grouped.items():
        means = (torch.tensor([float(row[name]) for row in some]).nanmean() for name in columns)
        rows.append([*key, str(len(some)), *(f"{mean:.2f}" for mean in means)])
    return write_markdown(rows)


def table_stored(notebook: str, pattern: str, heading: Sequence[str]) -> str:
    """What a notebook printed, a row for each match."""
    return write_markdown([list(heading), *(list(one.groups("")) for one in re.finditer(pattern, printed(notebook)))])


TABULATE: dict[str, Callable[..., str]] = {
    "means": table_means,
    "paired": table_paired,
    "crowds": table_crowds,
    "cards": table_cards,
    "rows": table_rows,
    "own masks": table_own_masks,
    "groups": table_groups,
    "stored": table_stored,
}


def write_tables() -> str:
    """The text of the tables."""
    parts = [settings()["tables"].strip()]
    for asked in settings()["table"]:
        given = {name: value for name, value in asked.items() if name not in ("kind", "title", "text")}
        parts += [f"## {asked['title']}"] if "title" in asked else []
        parts += [asked["text"].strip()] if "text" in asked else []
        try:
            parts.append(TABULATE[asked["kind"]](**given))
        except UnmeasuredError:
            parts.append(f"*{MISSING}*")
    return "\n\n".join(parts) + "\n"


def write_all() -> dict[Path, str]:
    """The text of every file that is made here."""
    front = FRONT.read_text(encoding="utf-8")
    before, _, rest = front.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{FRONT} has no place for the claims: write {BEGIN!r} and {END!r} into it.")
    return {MAP: write_map(), TABLES: write_tables(), FRONT: before + write_claims() + after}


@command
def main() -> None:
    """Write the map, the tables and the README's claims, or say whether they are those of today's rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("write", "check"))
    asked = parser.parse_args()
    old = []
    if asked.command == "write":
        write_all()  # asks
        estimate_asked()
        answer_all.cache_clear()
    for path, text in write_all().items():
        if asked.command == "write":
            with write_whole(path) as aside:
                aside.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            old.append(path.relative_to(ROOT).as_posix())
        if number := text.count(MISSING):
            print(f"{path.relative_to(ROOT)}: {number} times {MISSING}")
    if old:
        sys.exit(f"Not of today's rows: {', '.join(old)}. Run python tools/paper_map.py write.")


if __name__ == "__main__":
    main()

"""Files of weights: bundled ones in half precision, each with a card beside it, and those that others publish."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from odam_lib.detectors.base import Detector
from odam_lib.detectors.identity import hash_weights
from odam_lib.files import data_root, read_json, sha256, write_tensors, write_whole

RESTORE = "restore it from the repository (git checkout data/weights)"
ANEW = "give the command of its training again, which writes it anew"
Weights = str | Path
"""Bundled ones by their name; those of a training of the user's by the path of their file."""
NUMBER = int | float
VERSION = {"detector": str, "sha256": str}
CARD: dict[str, Any] = {
    **dict.fromkeys(("sha256", "measured_on", "command"), str),
    **dict.fromkeys(("parameters", "AP", "AP50"), NUMBER),
    "embeds": VERSION,
    "shares": {**VERSION, "modules": list},
    "format": int,
    "architecture": str,
    "categories": list,
    "inference": {},
}
"""The kind of what a card may say: how weights were made, what they reached, and which others they go with."""


def save_weights(
    detector: Detector, about: dict[str, object], folder: Path, start: str = "", frozen: Sequence[str] = ()
) -> Path:
    """Write a detector's weights in half precision with a card that holds their hash; returns the weights' path.

    Args:
        detector: the trained detector, whose name names the files.
        about: how it was made and what it reached.
        folder: the folder of both files.
        start: what it was trained from.
        frozen: names of modules that are still those of ``start``; if that is bundled, they are left out and read from
            its file.
    """
    shared = frozen if find_weights(start).is_file() else ()
    state = {key: value for key, value in detector.model.state_dict().items() if not _is_within(key, shared)}
    if shared:
        about = about | {"shares": {**read_version(start), "modules": list(shared)}}
    return save_state(detector.name, state, about, folder)


def save_state(name: str, state: Mapping[str, Tensor], about: Mapping[str, object], folder: Path) -> Path:
    """Write tensors in half precision with a card that holds their hash; returns the path of the tensors."""
    path = folder / f"{name}.safetensors"
    write_tensors(path, {key: value.contiguous().cpu() for key, value in halve(state).items()})
    with write_whole(path.with_suffix(".json")) as aside:
        text = json.dumps({"name": name, "sha256": sha256(path), **about}, indent=2) + "\n"
        aside.write_text(text, encoding="utf-8")
    return path


def halve(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in half precision, as files hold them; integers, and what is too large for it, stay as they are."""
    halves = {}
    for key, value in state.items():
        half = value.half() if value.is_floating_point() else value
        halves[key] = half if torch.equal(half.isfinite(), value.isfinite()) else value
    return halves


def find_weights(name: Weights) -> Path:
    """Where weights lie; their card lies beside them."""
    return name if isinstance(name, Path) else data_root() / "weights" / f"{name}.safetensors"


def _remedy(name: Weights) -> str:
    return ANEW if isinstance(name, Path) else RESTORE


def read_card(name: Weights, *needed: str) -> dict[str, Any]:
    """How weights, of a detector or of what goes with one, were made and what they reached.

    Args:
        name: of the weights, or their path.
        needed: what the card must say beside the ``sha256``.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged; names what is wrong.
    """
    path = find_weights(name).with_suffix(".json")
    about = read_json(path, _remedy(name))
    wrong = [key for key in ("sha256", *needed) if key not in about]
    wrong += [key for key, value in about.items() if key in CARD and not _fits(value, CARD[key])]
    if wrong:
        raise ValueError(f"{path} is damaged, {wrong[0]!r} is missing there or cannot be: {_remedy(name)}.")
    return about


def read_version(detector: str) -> dict[str, str]:
    """Which weights of a bundled detector lie here: what the card of others that go with them holds."""
    return {"detector": detector, "sha256": read_card(detector)["sha256"]}


def name_weights(detector: Detector) -> str:
    """Which weights a detector in memory has: the sha256 of its file, or of the bundled ones of its name, if it has
    those, else a hash.

    Raises:
        ValueError: the weights in that file are damaged, or the detector's are not finite.
    """
    state, name = detector.model.state_dict(), detector.file or detector.name
    if find_weights(name).is_file():
        kept = load_weights(name)
        if state.keys() == kept.keys() and all(torch.equal(value, state[key].to(value)) for key, value in kept.items()):
            return str(read_card(name)["sha256"])
    return hash_weights(detector.model)


def check_version(name: Weights, made_with: Mapping[str, Any]) -> None:
    """Refuse weights that were made with another version of a bundled detector than the one here.

    Args:
        name: of the weights, or their path.
        made_with: what :func:`read_version` gave when they were made.

    Raises:
        ValueError: the versions differ.
    """
    if read_version(made_with["detector"])["sha256"] != made_with["sha256"]:
        raise ValueError(
            f"The weights {find_weights(name)} go with others of {made_with['detector']} than "
            "those here: restore both from the repository (git checkout data/weights)."
        )


def load_weights(name: Weights, shared_by: tuple[Weights, ...] = ()) -> dict[str, Tensor]:
    """The tensors of weights in single precision, with those they share with another detector.

    Args:
        name: of bundled weights, or the path of others.
        shared_by: the weights that are being loaded and share tensors with these.

    Raises:
        FileNotFoundError: the weights or their card are missing.
        ValueError: they are damaged, share tensors with themselves, or were made with another version of the detector
            they share tensors with.
    """
    path = find_weights(name)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {_remedy(name)}.")
    about, content = read_card(name), path.read_bytes()
    if name in shared_by:
        raise ValueError(
            f"{path.with_suffix('.json')} is damaged, {name} shares weights with itself "
            f"({' with '.join(map(str, (*shared_by, name)))}): {RESTORE}."
        )
    found, expected = hashlib.sha256(content).hexdigest(), about["sha256"]
    try:
        tensors = load(content) if found == expected else {}
    except SafetensorError:
        tensors = {}
    if not tensors:
        raise ValueError(f"The weights {path} are damaged (sha256 {found}, expected {expected}): {_remedy(name)}.")
    state = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    if "shares" not in about:
        return state
    shared = about["shares"]
    check_version(name, shared)
    start = load_weights(shared["detector"], (*shared_by, name))
    return {key: value for key, value in start.items() if _is_within(key, shared["modules"])} | state


def fetch_published(url: str) -> Any:
    """What a published file of weights holds, fetched unless it lies here, and checked by the hash in its name.

    Raises:
        FileNotFoundError: it is neither here nor to be had; says which file to put where.
        ValueError: its hash is not the expected one.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    expected = path.stem.rsplit("-", 1)[-1]
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=expected, progress=False)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"The weights could not be fetched ({error}): get {url} and put it at {path}; "
                f"its sha256 begins with {expected}."
            ) from error
    found = sha256(path)
    if not found.startswith(expected):
        raise ValueError(
            f"The weights {path} are damaged (sha256 {found}, expected to begin with {expected}): "
            f"delete the file and get {url} again."
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _fits(value: object, kind: Any) -> bool:
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(_fits(value.get(key), part) for key, part in kind.items())
    if kind is list:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_within(key: str, modules: Sequence[str]) -> bool:
    return any(key.startswith(f"{module}.") for module in modules)

"""Published models of transformers by name, or from a folder: safetensors alone, never a pickle."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from odam_lib.detectors.family import Told
from odam_lib.detectors.of_transformers import KINDS, TransformersDetector, build
from odam_lib.detectors.published import sha256
from odam_lib.files import user_path

FILES = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")


def load_hub(name: str) -> TransformersDetector:
    """A detector whose model others publish, or that lies in a folder as ``save_pretrained`` wrote it.

    Args:
        name: ``owner/name`` on the hub, or the path of a folder.

    Returns:
        The detector; its ``card`` says where from, which revision, and the sha256 of each file of weights.

    Raises:
        FileNotFoundError: it is neither here nor to be had; says what to put where.
        ValueError: no detection head that is known, or no weights as safetensors.
    """
    local = user_path(name).is_dir()
    folder = user_path(name) if local else _fetched(name)
    head = _head(folder, name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ValueError(
            f"{name} has no weights as safetensors, and a pickle is not read since it may run any code: load it where "
            "you trust it, and write it anew by model.save_pretrained(folder)."
        )
    transformers: Any = import_module("transformers")  # an extra, and slow to import
    model, report = getattr(transformers, head).from_pretrained(
        folder, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    if report["missing_keys"]:
        raise ValueError(
            f"{name} lacks weights of its detector ({', '.join(sorted(report['missing_keys'])[:3])}, ...): give a "
            f"checkpoint of {head} that was trained."
        )
    processor = None
    if (folder / "preprocessor_config.json").is_file():
        processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    detector = build(model.eval().requires_grad_(False), Told(folder.name if local else name, processor=processor))
    detector.card = {
        "source": name,
        "revision": "" if local else folder.name,
        "sha256": {path.name: sha256(path) for path in weights},
    }
    return detector


def _head(folder: Path, name: str) -> str:
    """The class of the checkpoint's model."""
    config = folder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"There is no config.json in {folder}: give a folder that save_pretrained wrote.")
    said = json.loads(config.read_text(encoding="utf-8")).get("architectures") or ["nothing"]
    known = [head for head in said if head in KINDS]
    if not known:
        raise ValueError(
            f"{name} is a checkpoint of {said[0]}, without a detection head that is known: give one of "
            f"{', '.join(KINDS)}."
        )
    return known[0]


def _fetched(name: str) -> Path:
    """The folder of a published checkpoint, from the cache or the hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except HFValidationError as error:
        raise ValueError(f"{name!r} is neither a folder nor a name 'owner/name': check it.") from error
    except Exception as error:  # the hub's client lets errors of several other packages through
        raise FileNotFoundError(
            f"{name} could not be fetched ({type(error).__name__}): check the name, or get its config.json, "
            f"preprocessor_config.json and model.safetensors, put them into a folder and load 'hf:' and its path."
        ) from error

"""Published models of transformers by name, or from a folder: safetensors alone, never a pickle."""

from importlib import import_module
from pathlib import Path
from typing import Any

from odam_lib.command import sentence
from odam_lib.detectors.of_transformers import KINDS, TransformersDetector, wrap_model
from odam_lib.files import read_json, sha256, user_path

FILES = ("config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.index.json")


def load_hub(name: str) -> TransformersDetector:
    """A detector whose model others publish, or that lies in a folder as ``save_pretrained`` wrote it.

    Args:
        name: ``owner/name`` on the hub, or the path of a folder.

    Returns:
        The detector; its ``card`` says where from, which revision, and the sha256 of each file of weights.

    Raises:
        FileNotFoundError: it is neither here nor to be had; says what to put where.
        ValueError: no detection head that is known, no weights as safetensors, or they or their settings are damaged.
    """
    local = user_path(name).is_dir()
    folder = user_path(name) if local else _fetch(name)
    head = _find_head(folder, name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ValueError(
            f"{name} has no weights as safetensors, and a pickle is not read since it may run any code: load it where "
            "you trust it, and write it anew by model.save_pretrained(folder)."
        )
    transformers: Any = import_module("transformers")  # an extra, and slow to import
    hashes = {path.name: sha256(path) for path in weights}
    for path in weights:
        # The hub's client stores a file of weights under its hash, which the name here is a link to.
        stored = path.resolve()
        if not local and len(stored.name) == 64 and stored.name != hashes[path.name]:
            raise ValueError(
                f"The weights {stored} are damaged (sha256 {hashes[path.name]}): delete the file and load {name} again."
            )
    remedy = "write it anew by model.save_pretrained" if local else "delete the folder and load it again"
    try:
        model, report = getattr(transformers, head).from_pretrained(
            folder, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        processor = None
        if (folder / "preprocessor_config.json").is_file():
            processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever damaged settings or weights lead to in transformers
        raise ValueError(
            f"The checkpoint in {folder} cannot be loaded ({type(error).__name__}: {sentence(error)[:200]}): {remedy}."
        ) from error
    if report["missing_keys"]:
        raise ValueError(
            f"{name} lacks weights of its detector ({', '.join(sorted(report['missing_keys'])[:3])}, ...): give a "
            f"checkpoint of {head} that was trained."
        )
    detector = wrap_model(model.eval().requires_grad_(False), folder.name if local else name, None, processor)
    detector.card = {
        "source": name,
        "revision": "" if local else folder.name,
        "sha256": hashes,
    }
    return detector


def _find_head(folder: Path, name: str) -> str:
    """The class of the checkpoint's model."""
    config = folder / "config.json"
    if not config.is_file():
        raise FileNotFoundError(f"There is no config.json in {folder}: give a folder that save_pretrained wrote.")
    heads = read_json(config, "write it anew by model.save_pretrained, or fetch it again").get("architectures")
    said = [head for head in heads if isinstance(head, str)] if isinstance(heads, list) else []
    known = [head for head in said if head in KINDS]
    if not known:
        what = said[0] if said else "nothing"
        raise ValueError(
            f"{name} is a checkpoint of {what}, without a detection head that is known: give one of {', '.join(KINDS)}."
        )
    return known[0]


def _fetch(name: str) -> Path:
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

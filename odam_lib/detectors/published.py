"""Files of weights that others publish: fetched once, and checked by their hash."""

from pathlib import Path
from typing import Any

import torch

from odam_lib.files import sha256


def published_state(url: str) -> Any:
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

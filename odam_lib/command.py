"""What every command line of the project does around its work."""

import io
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from safetensors import SafetensorError

P = ParamSpec("P")

DOING = (OSError, ValueError, ImportError, MemoryError, ArithmeticError, RuntimeError, SafetensorError)
"""What the user or the machine did. Torch says by a ``RuntimeError`` that memory is full, a worker was killed or a
device is gone. Other exceptions are mistakes of this code, whose traceback is wanted."""
FAILED, INTERRUPTED = 2, 130


def command(main: Callable[P, None]) -> Callable[P, None]:
    """Let the ``main`` of a command line end with ``error: ...`` on stderr and status 2 instead of a traceback.

    Text is written as UTF-8 whatever the locale; names of files that no locale can decode come out as they are. An
    interruption (Ctrl-C) ends with status 130. ``python -X dev -m ...`` shows the traceback.
    """

    @wraps(main)
    def told(*arguments: P.args, **options: P.kwargs) -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        try:
            main(*arguments, **options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            _end("interrupted", INTERRUPTED)
        except DOING as error:
            if sys.flags.dev_mode:
                raise
            _end(sentence(error), FAILED)

    return told


def sentence(error: BaseException) -> str:
    """What an exception says, in one line, without the traceback that a worker process sends along."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}" if error.filename else error.strerror
    if "Original Traceback" in text:
        text = text.strip().splitlines()[-1].partition(": ")[2]
    return " ".join(text.split()) or type(error).__name__


def _end(said: str, status: int) -> None:
    try:
        print(f"error: {said}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    except OSError:  # nobody reads, or the disk is full: the interpreter would try again and complain on its way out
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(status)

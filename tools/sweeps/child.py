"""The process that executes a job's notebook, started in ``tools/`` by :mod:`sweeps.job` and by nobody else."""

import json
import os
import sys
from pathlib import Path
from threading import Thread

from notebooks import run
from odam_lib.command import command
from sweeps.processes import MARK, kill_marked


def end_with_parent() -> None:
    """Whoever started this holds the other end of standard input, which the system closes when that process dies."""
    sys.stdin.read()
    kill_marked(os.environ[MARK])
    os._exit(1)


@command
def main() -> None:
    """Read what to run from standard input, one line of JSON, and run it."""
    order = json.loads(sys.stdin.readline())
    Thread(target=end_with_parent, daemon=True).start()
    run(Path(order["source"]), order["parameters"], Path(order["output"]), None)

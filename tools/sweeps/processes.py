"""A job's processes. A kernel has a session of its own and may start more, which outlive it: all inherit a mark."""

import os
import time
from contextlib import suppress

import psutil

MARK = "ODAM_SWEEP_JOB"
"""The environment variable that tells whose a process is."""
PATIENCE = 30.0
"""Seconds that the system has to end what was killed."""


def kill_marked(job: str) -> None:
    """Kill all processes of a job but this one."""
    until = time.monotonic() + PATIENCE
    while (found := _find_marked(job)) and time.monotonic() < until:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=1)


def _find_marked(job: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # it has ended, or is another user's
            if process.pid != os.getpid() and process.environ().get(MARK) == job:
                found.append(process)
    return found


def measure_memory(root: int) -> int:
    """Bytes of memory that a process and all that descends from it hold; pages that they share count for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for process in (psutil.Process(root), *psutil.Process(root).children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_info().rss
    return total

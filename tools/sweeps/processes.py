"""A process with all that it started: a notebook's kernel has a session of its own, and may have children again."""

import os
import signal
from contextlib import suppress

import psutil

GONE = (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError)


def kill_children(root: int) -> None:
    """Kill all that descends from a process, and what shares a process group with those."""
    groups = set()
    while children := _living_children(root):
        for child in children:
            with suppress(*GONE):
                groups.add(os.getpgid(child.pid))
                child.kill()
        psutil.wait_procs(children, timeout=1)
    for group in groups - {os.getpgid(0)}:
        with suppress(*GONE):
            os.killpg(group, signal.SIGKILL)


def _living_children(root: int) -> list[psutil.Process]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(root).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
    return found


def measure_memory(root: int) -> int:
    """Bytes of memory that a process and all that descends from it hold; pages that they share count for each."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        for process in (psutil.Process(root), *psutil.Process(root).children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                total += process.memory_info().rss
    return total

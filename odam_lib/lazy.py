"""Packages whose public names are loaded on first use."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def load_lazily(
    package: str, homes: Mapping[str, str], within: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package that imports nothing until it is asked for a name.

    Args:
        package: name of the package.
        homes: the module that defines each public name, as ``viz.plots``.
        within: name of the package in which these modules lie; default the package itself.
    """

    def __getattr__(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{within or package}.{homes[name]}"), name)
        if find_spec(f"{package}.{name}"):  # a module, as an import of everything would have made an attribute
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__, lambda: sorted(homes)

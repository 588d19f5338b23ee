"""Equations as every current browser draws them by itself: MathML, made when a page is written."""

import re

from latex2mathml.converter import convert

_FUNCTION = re.compile(r"<mi>(arg|cos|exp|log|max|min|softmax)</mi>(?=<m(?:i|n|sub|sup|frac)>)")
_UNKNOWN = re.compile(r"\\[A-Za-z]+")


def to_mathml(formula: str, block: bool = False) -> str:
    r"""A formula of LaTeX as an element of HTML.

    Args:
        formula: without the dollars around it.
        block: whether it has a line of its own.

    Raises:
        ValueError: it holds a command that is not known here, as ``\foo``.
    """
    made = convert(formula.strip(), display="block" if block else "inline")
    if unknown := _UNKNOWN.search(made):
        raise ValueError(f"The formula {formula.strip()!r} holds {unknown[0]}, which is not known: write it otherwise.")
    return _FUNCTION.sub(r'<mi>\1</mi><mspace width="0.167em" />', made)

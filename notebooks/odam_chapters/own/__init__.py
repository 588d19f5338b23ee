"""Notebook 09: the reader's own detector."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "own.exercises": "check_formula check_silence",
        "own.settings": "PARAMETERS",
        "errors": "judge make_case open_pictures show_evidence show_gallery",
        "exercises": "check_side",
        "parameters": "choices counts numbers texts",
    },
)

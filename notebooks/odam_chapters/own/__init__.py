"""Notebook 09: the reader's own detector."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "own.exercises": "check_cells check_formula check_silence",
        "own.data": "open_pictures",
        "own.settings": "PARAMETERS",
        "own.wrapped": "compare compare_conditions note_condition",
        "errors": "judge make_case show_evidence show_gallery",
    },
)

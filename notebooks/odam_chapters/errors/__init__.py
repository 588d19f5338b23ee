"""Notebook 04: mistakes, their evidence, and tests of it."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "errors.cases": "make_case_without try_removals make_case",
        "errors.compared": "find_worst_and_best_edge",
        "errors.exercises": "check_cover check_culprit check_share",
        "errors.photos": "find_bad_edge find_confusion select_ninths",
        "errors.plots": "Case show_covering show_evidence show_gallery show_means show_ninths zoom",
        "errors.settings": "PARAMETERS",
        "errors.shortcut": "DETECTORS LAYERS find_bearers make_sticker_case read_outcomes",
        "errors.survey": "WRONG_CLASS judge open_pictures read_mistakes survey_scene",
        "errors.widget": "MistakeBrowser",
        "statistics": "area_under_roc",
        "exercises": "check_most",
        "influence": "measure_edge_moves hide move_into roll_in measure_scores_without select_strongest",
        "parameters": "counts numbers texts",
    },
)

"""Notebook 04: mistakes, their evidence, and tests of it."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "errors.cases": "compare_removals line_up list_places make_case make_case_without",
        "errors.compared": "sort_mistakes",
        "errors.evidence": "compare_maps estimate mend_by_sort share_energy tell_mended",
        "errors.exercises": "check_cover check_culprit check_number check_removal check_verdict",
        "errors.photos": "find_bad_edge find_confusion measure_covered measure_hidden",
        "errors.plots": "show_covering show_evidence show_gallery show_ninths show_things",
        "errors.shortcut": "DETECTORS find_bearers make_sticker_case read_outcomes",
        "errors.settings": "PARAMETERS",
        "errors.survey": "find_mistakes judge read_mistakes",
        "errors.widget": "MistakeBrowser browse",
        "charts": "show_estimates",
        "statistics": "wilson",
    },
)

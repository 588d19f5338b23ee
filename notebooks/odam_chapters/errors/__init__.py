"""Notebook 04: mistakes, their evidence, and tests of it."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "errors.cases": "compare_removals find_things list_places make_case make_case_without try_removals",
        "errors.compared": "BAD_BOX DUPLICATE OTHER PLANTED SORTS WRONG_NAME find_worst_and_best_edge sort_mistakes",
        "errors.evidence": "estimate mend_by_sort share_energy tell_mended",
        "errors.exercises": "check_cover check_culprit check_number check_removal check_verdict",
        "errors.photos": "find_bad_edge find_confusion measure_covered measure_hidden select_ninths",
        "errors.plots": "Case show_covering show_estimates show_evidence show_gallery show_ninths show_things",
        "errors.settings": "PARAMETERS",
        "errors.survey": "find_mistakes judge read_mistakes",
        "errors.widget": "MistakeBrowser",
        "influence": "measure_scores_without",
        "statistics": "wilson",
    },
)

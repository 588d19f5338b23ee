"""Notebook 07: Odam-NMS and other rules of suppression in crowds."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "crowds.cases": "draw_quiz find_couples find_telling_triple map_both rate_guesses",
        "crowds.costs": "rate_kernels time_kernels rate_pipelines time_pipelines",
        "crowds.estimates": "estimate_differences",
        "crowds.exercises": "check_correlation check_duplicate check_low check_pairs",
        "crowds.knowledge": "BANDS estimate_knowledge list_knowledge",
        "crowds.decisions": "decide",
        "crowds.pair_widget": "PairPicker",
        "crowds.plots": "show_candidates show_couple_maps show_couples show_suppression",
        "crowds.results": "load_results",
        "crowds.rules": "CLASSICAL ODAM_NMS PAPERS_ODAM_NMS RASTER SCORE_THRESHOLD THRESHOLDS "
        "apply_rules find_candidates make_rules",
        "crowds.settings": "PARAMETERS open_crowds set_thresholds",
        "odam_train": "TRAINED pair_candidates",
        "charts": "show_intervals",
    },
)

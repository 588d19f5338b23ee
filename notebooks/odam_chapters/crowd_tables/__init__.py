"""Notebook 92: every number of the rules of suppression in crowds."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "crowd_tables.settings": "PARAMETERS",
        "crowds.cases": "list_mistakes map_both",
        "crowds.costs": "time_pipelines",
        "crowds.estimates": "estimate_differences",
        "crowds.knowledge": "estimate_knowledge",
        "crowds.plots": "show_couple_maps show_thresholds",
        "crowds.results": "load_results",
        "crowds.rules": "CLASSICAL ODAM_NMS PAPERS_ODAM_NMS SCORE_THRESHOLD apply_rules make_rules shade "
        "try_thresholds",
        "crowds.settings": "open_crowds set_thresholds",
        "crowds.tables": "FAMILIES compare_rules list_intervals match_all rate_goals score_all tabulate_comparisons "
        "tabulate_scores",
        "odam_train": "TRAINED pair_candidates",
        "exercises": "check_most",
        "charts": "show_intervals",
    },
)

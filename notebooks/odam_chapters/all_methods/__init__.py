"""Notebook 91: all methods by all metrics."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "all_methods.settings": "PARAMETERS",
        "data": "open_data",
        "all_methods.stored": "read_all tabulate_insertion",
        "all_methods.exercises": "check_difference",
        "judging.own_masks": "OF_ALL OF_CLASS count_own_mask_wins read_rows",
        "judging.tables": "count_wins name_winners rank_methods tabulate_means tabulate_verdicts",
        "statistics": "wilson",
        "exercises": "check_most",
        "charts": "show_intervals show_mean_curves",
        "pictures": "show_methods",
        "timing": "measure",
    },
)

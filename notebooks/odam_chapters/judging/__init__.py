"""Notebook 03: is the map right?"""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "judging.exercises": "check_cheat",
        "judging.leaks": "CHANGES count_specific read_leaks relate show_leak tabulate_falls uncover",
        "judging.own_masks": "OF_ALL OF_CLASS count_own_mask_wins read_rows",
        "judging.settings": "PARAMETERS",
        "judging.stored": "begin_with",
        "judging.tables": "tabulate_means rank_methods summarize_wins count_wins",
        "statistics": "wilson",
        "exercises": "check_most",
        "charts": "show_intervals show_mean_curves show_part_bars",
        "parameters": "choices counts lists numbers texts",
        "pictures": "show_methods",
        "timing": "measure",
    },
)

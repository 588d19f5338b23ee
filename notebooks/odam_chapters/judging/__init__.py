"""Notebook 03: is the map right?"""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "judging.exercises": "check_cheat check_energy check_needed check_zero",
        "judging.experiment": "choose_row find_unseen measure_brightness show_changed show_experiment take_apart",
        "judging.features": "follow silence",
        "judging.leaks": "CHANGES find_leaks read_leaks relate show_leak tabulate_falls uncover",
        "judging.own_masks": "OF_CLASS count_own_mask_wins read_rows",
        "judging.settings": "PARAMETERS",
        "judging.tables": "count_wins name_winners tabulate_verdicts",
        "errors.shortcut": "contrast read_outcomes",
        "statistics": "wilson",
        "charts": "show_estimates show_intervals show_part_bars",
        "pictures": "show_methods",
    },
)

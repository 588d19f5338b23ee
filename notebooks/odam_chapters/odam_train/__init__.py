"""Notebook 06: Odam-Train, the loss that keeps the maps of neighbours apart."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "odam_train.exercises": "check_odam_loss",
        "odam_train.separation": "both candidate_pairs facing lines overlapping_pairs representatives survey",
        "odam_train.sweep": "TRAINED WEIGHTS as_text base_settings read_outcomes",
        "crowds.estimates": "estimate_differences",
        "statistics": "relative_change",
        "exercises": "check_most",
        "charts": "show_intervals show_pairs",
        "parameters": "choices counts numbers texts",
        "pictures": "crop show_average_maps show_columns",
    },
)

"""Notebook 06: Odam-Train, the loss that keeps the maps of neighbours apart."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "odam_train.exercises": "check_odam_loss",
        "odam_train.price": "tabulate_price",
        "odam_train.plots": "show_trade_off",
        "odam_train.separation": "align_surveys choose_representatives face_neighbours list_intervals pair_candidates "
        "pair_overlapping survey",
        "odam_train.settings": "PARAMETERS",
        "odam_train.sweep": "TRAINED WEIGHTS make_base_settings read_outcomes tabulate_outcomes",
        "crowds.estimates": "estimate_differences",
        "statistics": "relative_change",
        "exercises": "check_most",
        "charts": "show_intervals show_pairs",
        "parameters": "choices counts numbers texts",
        "pictures": "crop show_average_maps show_columns",
    },
)

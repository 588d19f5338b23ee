"""Notebook 06: Odam-Train, the loss that keeps the maps of neighbours apart."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "odam_train.exercises": "check_first_order check_gap check_odam_loss",
        "odam_train.price": "match_detections tabulate_price",
        "odam_train.plots": "show_cosines show_gaps show_trade_off",
        "odam_train.separation": "align_surveys choose_couple choose_representatives estimate_gaps face_neighbours "
        "list_intervals pair_candidates pair_overlapping represent survey",
        "odam_train.settings": "PARAMETERS",
        "odam_train.sweep": "TRAINED WEIGHTS make_base_settings read_outcomes tabulate_outcomes",
        "crowds.estimates": "estimate_differences",
        "statistics": "relative_change",
        "charts": "show_intervals show_pairs",
        "pictures": "show_average_maps show_columns",
    },
)

"""Notebook 05: DETR's attention beside ODAM."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "attention.attended": "HEADS ODAM_EDGES choose_heads estimate_edges estimate_losses find_inward_moves "
        "points_at_own_edge survey_cells survey_edges try_heads",
        "attention.by_hand": "check_attention record_attention",
        "attention.claims": "look_at_scene measure_near_rim read_looked",
        "attention.exercises": "check_heads check_rims",
        "attention.plots": "show_by_edge",
        "attention.reading": "find_objects read_attention_cells read_centre_attention read_cross_attention",
        "attention.settings": "PARAMETERS",
        "attention.verdicts": "MEASURES find_largest_difference judge_claims tabulate_means write_verdicts",
        "attention.widget": "LocationPicker show_locations",
        "charts": "show_estimates show_intervals",
        "pictures": "show_columns",
    },
)

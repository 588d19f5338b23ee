"""Notebook 05: DETR's attention beside ODAM."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "attention.claims": "look_at_scene read_looked",
        "attention.exercises": "check_heads",
        "attention.reading": "has_attention read_centre_attention read_cross_attention read_query_attention",
        "attention.settings": "PARAMETERS",
        "attention.verdicts": "MEASURES find_largest_difference judge_claims tabulate_means write_verdicts",
        "attention.widget": "LocationPicker show_locations",
        "exercises": "check_most",
        "charts": "show_intervals show_shares show_table",
        "parameters": "counts numbers texts",
        "pictures": "show_columns",
    },
)

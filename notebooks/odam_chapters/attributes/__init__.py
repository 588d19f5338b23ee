"""Notebook 01: write the map, then one for the class and for each edge, then test it."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "attributes.exercises": "check_change check_combined check_grad_cam check_map check_total check_zero",
        "attributes.measures": (
            "OF_CLASS_MAP compare estimate find_mask hide_pixels pick_pair read_at_scale read_without remove_cells "
            "share_inside survey"
        ),
        "attributes.plots": "show_cells show_first_order show_moves show_scaling",
        "attributes.settings": "PARAMETERS",
        "charts": "show_shares",
        "judging.own_masks": "OF_CLASS count_own_mask_wins read_rows",
        "pictures": "show_average_maps",
        "statistics": "wilson",
    },
)

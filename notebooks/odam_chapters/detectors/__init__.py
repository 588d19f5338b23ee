"""Notebook 02: the same object through several detectors and layers, and as they forget what they learnt."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "detectors.agreement": "area_holding cosine edge_strength energy_outside",
        "detectors.exercises": "check_fake check_more",
        "detectors.randomize": "cascade part_title parts load_untrained",
        "exercises": "check_least",
        "in_boxes": "box_frame",
        "charts": "show_steps show_table",
        "parameters": "choices counts lists numbers texts",
        "pictures": "show_detectors show_methods",
    },
)

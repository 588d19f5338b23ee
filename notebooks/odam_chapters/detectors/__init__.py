"""Notebook 02: the same object through several detectors and layers, and as they forget what they learnt."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "detectors.agreement": "measure_spread measure_cosine measure_edge_strength measure_energy_outside",
        "detectors.exercises": "check_fake check_more",
        "detectors.randomize": "list_parts load_untrained name_part randomize_parts",
        "detectors.settings": "PARAMETERS",
        "exercises": "check_least",
        "in_boxes": "frame_box",
        "charts": "show_steps show_table",
        "parameters": "choices counts lists numbers texts",
        "pictures": "show_detectors show_methods",
    },
)

"""Notebook 02: the same object through several detectors and layers, and as they forget what they learnt."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "charts": "show_estimates show_steps show_table",
        "detectors.agreement": "measure_edge_strength",
        "detectors.compared": "choose_object compare_derivatives compare_detectors find_objects frame_found "
        "frame_in_box group_pairs measure_energies",
        "detectors.exercises": "check_better check_fake check_ranks",
        "detectors.randomize": "list_parts load_untrained name_part randomize_parts",
        "detectors.settings": "PARAMETERS",
        "pictures": "show_columns show_methods",
    },
)

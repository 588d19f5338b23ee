"""Notebook 07: Odam-NMS and other rules of suppression in crowds."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "crowds.cases": "couples failures telling_triple",
        "crowds.costs": "kernel_verdict kernels pipeline_verdicts pipelines",
        "crowds.estimates": "estimate_differences",
        "crowds.exercises": "check_duplicate check_pairs",
        "crowds.pair_widget": "PairPicker decisions",
        "crowds.plots": "show_candidates show_couple_maps show_couples show_suppression show_thresholds",
        "crowds.results": "CLASSICAL ODAM_NMS RASTER SCORE_THRESHOLD THRESHOLDS apply candidates grid "
        "load_results rules",
        "odam_train": "TRAINED candidate_pairs",
        "statistics": "area_under_roc",
        "exercises": "check_most",
        "charts": "show_intervals",
        "parameters": "choices counts numbers texts",
    },
)

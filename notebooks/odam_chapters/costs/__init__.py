"""Notebook 90: what an explanation costs."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "costs.exercises": "check_break_even check_factor check_reach",
        "costs.explaining": "Batched Loop TARGET_STEPS build_random_detector choose_fastest draw_predictions "
        "make_captum_map make_hires_cam make_one_map measure_bill measure_disagreement measure_maps "
        "measure_single_maps rate_bills rate_steps run_forward spread_maps time_training_steps",
        "costs.report": "draw_report read_report tell_report",
        "costs.settings": "PARAMETERS",
        "costs.storing": "time_storing",
        "crowds": "CLASSICAL ODAM_NMS rate_kernels time_kernels rate_pipelines time_pipelines make_rules",
        "charts": "show_cost_ratios show_growth",
        "timing": "tabulate fit_exponent measure",
    },
)

"""Notebook 90: what an explanation costs."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "costs.exercises": "check_break_even check_factor",
        "costs.explaining": "Batched Loop TARGET_STEPS bill captum_map disagreement draw fastest forward growth "
        "hires_cam one_map random_detector sampled spread step_verdicts training_steps verdicts",
        "crowds": "CLASSICAL ODAM_NMS rate_kernels time_kernels rate_pipelines time_pipelines make_rules",
        "charts": "show_cost_ratios show_growth",
        "parameters": "choices count_lists counts lists texts",
        "timing": "as_table exponent measure",
    },
)

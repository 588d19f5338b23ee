"""Notebook 08: the paper's user studies, to be answered, kept, analysed and planned."""

from odam_chapters import offer

__all__, __getattr__, __dir__ = offer(
    __name__,
    {
        "study.answers": "AnswerFile",
        "study.collecting": "export_answers read_pointings read_rankings",
        "study.exercises": "check_holm check_people check_reader",
        "study.gathering": "OF_MODELS WITH_ODAM_TRAIN list_methods make_all_items",
        "study.inference": "estimate_by_odi estimate_places is_certain is_right read_confidence",
        "study.items": "DISCRIMINATION EDGES MODELS PHOTOGRAPHS STUDIES TRUST",
        "study.plots": "show_by_odi show_power show_question show_readers",
        "study.power": "ENOUGH estimate_power find_enough simulate_certainty simulate_ranks",
        "study.published": "MOST_CERTAIN SENTENCES TRUST_PLACES",
        "study.reader": "RULES estimate_answers estimate_by_condition estimate_gain read_items read_pictures",
        "study.settings": "PARAMETERS",
        "study.simulated": "follow_pointings follow_rankings guess_pointings guess_rankings",
        "study.telling": "describe_pointings describe_rankings",
        "study.widget": "Questionnaire",
        "pictures": "save_small",
    },
)

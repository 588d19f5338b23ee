"""How many GPUs one driver serves."""

from types import ModuleType

import pytest
from odam_chapters.costs.scaling import simulate_driving, time_driving

from odam_lib.evaluation.cluster import Workers


def test_a_driver_that_needs_no_time_keeps_all_gpus_busy() -> None:
    assert simulate_driving(7, 2.0, 0.0, 0.0) == pytest.approx(1, abs=0.03)
    assert simulate_driving(1, 2.0, 1.0, 1.0) == pytest.approx(0.5, abs=0.02)  # idle while it is served


def test_beyond_what_a_driver_can_do_more_gpus_bring_nothing() -> None:
    """Its own work for each picture is the limit, since all share a wait for the disk."""
    pictures_a_second = [gpus * simulate_driving(gpus, 1.0, 0.02, 0.01) for gpus in (50, 1000, 4000)]
    assert pictures_a_second[0] < 50 and pictures_a_second[1:] == pytest.approx([100, 100], rel=0.05)


def test_driving_is_measured_on_workers_that_answer_at_once(ray_here: ModuleType) -> None:
    assert 0 < time_driving(20, Workers(2)) < 2
    with pytest.raises(ValueError, match="pictures"):
        time_driving(0, Workers())

"""Notebook 00: which box is wrong, and whose pixels a map lies on, against values worked out by hand."""

import torch
from handmade_detections import CAT, DOG, ELSEWHERE, found
from odam_chapters.quickstart import check_share, check_wrong, find_objects, order_by_share, tell_shares

TRUTH = {"boxes": torch.tensor([DOG, CAT]), "labels": torch.tensor([2, 1])}
SEEN = found([CAT, ELSEWHERE, DOG], [0.9, 0.8, 0.7], [1, 1, 2])


def test_objects_of_detections() -> None:
    assert find_objects(SEEN, TRUTH) == [1, -1, 0]


def test_the_wrong_box_is_right_wrong_or_open() -> None:
    assert check_wrong(1, SEEN, TRUTH).startswith("right: no ")
    assert check_wrong(0, SEEN, TRUTH).startswith("not quite") and "IoU of 1.00" in check_wrong(0, SEEN, TRUTH)
    assert check_wrong(None, SEEN, TRUTH) == check_wrong(3, SEEN, TRUTH) == "open: give the number of a box, 0 to 2."
    assert "no box is wrong" in check_wrong(0, SEEN[[0, 2]], TRUTH)


def test_shares_are_told_and_ordered() -> None:
    shares = torch.tensor([[0.1, 0.6], [0.3, 0.2], [0.5, 0.0]])
    assert tell_shares(shares[0], 1) == "own mask 0.6, best other mask 0.1"
    assert tell_shares(shares[1], -1) == "there is no such object; most on any other one 0.3"
    assert tell_shares(shares[0, :1], 0) == "own mask 0.1, best other mask 0.0"
    assert order_by_share(shares, [1, -1, 0]) == [1, 2, 0]


def test_a_share_is_right_wrong_or_open() -> None:
    heat, mask = torch.tensor([[8.0, 4.0, 2.0], [1.0, 0.0, 0.0]]), torch.zeros(2, 3, dtype=torch.bool)
    mask[0, :2] = True
    assert check_share(None, heat, mask).startswith("open")
    assert check_share((heat * mask).sum() / heat.sum(), heat, mask) == (
        "right: 0.80 of the energy lies on the object's visible pixels."
    )
    for answer, reason in {
        2 / 6: "whatever the map", 12: "in the map's own unit", 6: "mean within the mask", 0.5: "counts pixels",
        0.2: "the share outside", 0.7: "add up heat",
    }.items():  # fmt: skip
        assert reason in check_share(answer, heat, mask)

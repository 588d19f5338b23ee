"""Names of classes as detectors list them: index 0 is the background."""

from collections.abc import Sequence

from torchvision.models.detection import FCOS_ResNet50_FPN_Weights

BACKGROUND = "__background__"
UNUSED = "N/A"
"""What torchvision calls the ids that COCO left out."""

COCO = tuple(FCOS_ResNet50_FPN_Weights.COCO_V1.meta["categories"])
"""COCO's 91 ids as torchvision lists them, 10 of them unused."""
SCENES = (BACKGROUND, "person", "dog", "bicycle", "motorcycle", "car", "bench", "bed", "surfboard")
PEOPLE = (BACKGROUND, "person")


def choose_categories(told: Sequence[str] | None, number: int, own: Sequence[str] | None = None) -> tuple[str, ...]:
    """The class names of a model, checked against what the model says.

    Args:
        told: what the caller said: a name for each class, with or without the background in front.
        number: number of the model's classes, without the background.
        own: names that the model itself carries, without the background; ``None`` if it carries none.

    Returns:
        ``number + 1`` names. Where nobody knows them they are ``class 1``, ``class 2``, ...

    Raises:
        ValueError: another number of names than classes, or two classes of one name.
    """
    if told is None:
        return (BACKGROUND, *(own or (f"class {label}" for label in range(1, number + 1))))
    names = tuple(told)
    if len(names) == number and BACKGROUND not in names:
        names = (BACKGROUND, *names)
    if len(names) != number + 1 or names[0] != BACKGROUND:
        raise ValueError(
            f"The model predicts {number} classes, but {len(told)} names were given ({_list(told)}): give a name for "
            f"each class in the order of the model's labels, with or without {BACKGROUND!r} in front."
        )
    if twice := sorted({name for name in names if names.count(name) > 1 and name != UNUSED}):
        raise ValueError(f"Several classes are called {_list(twice)}: give each class a name of its own.")
    return names


def _list(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(map(repr, names[:most])) + (", ..." if len(names) > most else "")

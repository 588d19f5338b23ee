"""The door for a model of one's own: what it is, is read from the model itself."""

from collections.abc import Sequence

from torch import nn

from odam_lib.detectors import of_torchvision, of_transformers, of_ultralytics
from odam_lib.detectors.base import Detector
from odam_lib.kernels import checks

FAMILIES = (of_torchvision, of_transformers, of_ultralytics)
"""Modules that know families of models, in the order in which they are asked."""


def wrap(
    model: nn.Module,
    categories: Sequence[str] | None = None,
    *,
    name: str | None = None,
    strides: Sequence[int] | None = None,
    processor: object | None = None,
) -> Detector:
    """Make a detector that can be explained from a model of a known family.

    Strides, number of classes, background, normalisation, resize, box coding and layers are read from the model, and
    the model is left as it is: it can be trained on.

    Args:
        model: a model of torchvision, ``transformers`` or Ultralytics.
        categories: a name for each class in the order of the model's labels, with or without ``__background__`` in
            front; default the names that the model carries, else ``class 1``, ``class 2``, ...
        name: name of the detector in messages and stored rows; default the model's class name.
        strides: strides of the model's levels; only compared with what is read from it.
        processor: the image processor of a ``transformers`` model; default one made from the model's own settings.

    Raises:
        TypeError: not a module, or of no known family: says which are.
        ValueError: the model contradicts what was said about it, or is quantised.
    """
    if not isinstance(model, nn.Module):
        fix = ""
        if isinstance(model, Detector):
            fix = ", or use this detector as it is"
        elif isinstance(model, str):
            fix = ", or load one by its name with load_detector"
        raise TypeError(f"The model is {checks.told(model)}: give the torch.nn.Module itself{fix}.")
    for argument, value in (("categories", categories), ("strides", strides)):
        if isinstance(value, str) or not (value is None or isinstance(value, Sequence)):
            raise TypeError(f"{argument} is {value!r}: give a list or tuple.")
    if categories is not None:
        categories = tuple(checks.names("categories", categories))
    for stride in strides or ():
        checks.count("A stride", stride)
    if name is not None:
        checks.kind("name", name, str, "a string, or None for the model's class name")
    model = getattr(model, "_orig_mod", model)  # of torch.compile: what it compiled
    if any("quantized" in type(module).__module__.split(".") for module in model.modules()):
        raise ValueError("The model is quantised, and integers pass no gradients: give it as it was before.")
    family = next((family for family in FAMILIES if family.recognises(model)), None)
    if family is None:
        raise TypeError(
            f"{type(model).__module__}.{type(model).__name__} is of no known family: known are "
            f"{'; '.join(family.NAMES for family in FAMILIES)}. For another model write the few methods of "
            "odam_lib.detectors.base.Detector and Trace; README shows an example of 40 lines."
        )
    detector = family.wrap_model(model, name or type(model).__name__, categories, processor)
    if strides is not None and tuple(strides) != tuple(detector.strides):
        raise ValueError(
            f"The model's strides are {tuple(detector.strides)}, not {tuple(strides)}: leave them out, they are read."
        )
    return detector

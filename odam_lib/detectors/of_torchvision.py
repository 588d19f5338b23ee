"""torchvision's detectors: what :func:`odam_lib.detectors.wrap.wrap` reads from them."""

from odam_lib.detectors.family import Family

FAMILIES: tuple[Family, ...] = ()

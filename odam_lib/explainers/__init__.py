"""Methods of explanation: one file each, all called the same way, all returning ``HeatMaps``."""

from odam_lib.explainers.bbam import BBAM as BBAM
from odam_lib.explainers.controls import (
    BoxFill as BoxFill,
    CentredGaussian as CentredGaussian,
    EigenCAM as EigenCAM,
    RandomMap as RandomMap,
)
from odam_lib.explainers.drise import DRISE as DRISE
from odam_lib.explainers.grad_cam import GradCAM as GradCAM, GradCAMPlusPlus as GradCAMPlusPlus
from odam_lib.explainers.odam import ODAM as ODAM
from odam_lib.explainers.raster import raster_maps as raster_maps
from odam_lib.explainers.suppression import (
    by_boxes as by_boxes,
    by_embeddings as by_embeddings,
    by_maps as by_maps,
    suppress as suppress,
)

"""Methods of explanation: one file each, all called the same way, all returning ``HeatMaps``."""

from odam_lib.explainers.bbam import BBAM as BBAM
from odam_lib.explainers.controls import (
    BoxFill as BoxFill,
    CentredGaussian as CentredGaussian,
    EigenCAM as EigenCAM,
    RandomMap as RandomMap,
)
from odam_lib.explainers.d_close import DCLOSE as DCLOSE
from odam_lib.explainers.drise import DRISE as DRISE
from odam_lib.explainers.g_came import GCAME as GCAME
from odam_lib.explainers.grad_cam import GradCAM as GradCAM, GradCAMPlusPlus as GradCAMPlusPlus
from odam_lib.explainers.layer_cam import LayerCAM as LayerCAM
from odam_lib.explainers.odam import ODAM as ODAM
from odam_lib.explainers.raster import raster_maps as raster_maps
from odam_lib.explainers.smooth_grad import SmoothGrad as SmoothGrad
from odam_lib.explainers.ss_grad_cam import SSGradCAMPlusPlus as SSGradCAMPlusPlus
from odam_lib.explainers.suppression import (
    by_boxes as by_boxes,
    by_embeddings as by_embeddings,
    by_maps as by_maps,
    suppress as suppress,
)

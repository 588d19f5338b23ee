"""The maps of many predictions on one small raster over the picture, where they can be compared (Sec. 3.3)."""

from dataclasses import replace

from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.passes import record_gradients
from odam_lib.detectors.trace import Trace
from odam_lib.kernels.similarity import short_edge_size


@record_gradients()
def raster_maps(trace: Trace, detections: Detections, attribute: str = "logit", short_edge: int = 50) -> Tensor:
    r"""Maps without smoothing, every one laid on the same raster.

    .. math:: H = \mathrm{ReLU}\Big(\sum_k \frac{\partial Y}{\partial A_k} \odot A_k\Big)

    The same as ``ODAM(smoothing=None, derivative="window")`` and then ``to_image`` at that size, but no map of a whole
    level is made in between.

    Args:
        trace: one forward pass, at a layer that has windows.
        detections: N rows of that trace.
        attribute: what is explained; the class logit as in Odam-Train.
        short_edge: lines or columns of the raster along the picture's shorter side.

    Returns:
        ``Tensor[N, h, w]``, non-negative.

    Raises:
        ValueError: detections of another image or detector, an unknown attribute, or a layer without windows.
    """
    trace.check(detections, [attribute])
    windows = trace.windows
    if windows is None:
        raise ValueError(
            f"Layer {trace.layer!r} has no derivative on a window: take the detector's default layer, or ODAM()'s maps."
        )
    size = short_edge_size(detections.image_size, short_edge)
    maps = detections.boxes.new_zeros((len(detections), *size))
    for rows in windows.together(detections):
        heat = windows.heat_maps(attribute, detections[rows])
        heat = replace(heat, values=heat.values.detach().float())
        levels = trace.feature_level(detections[rows]).tolist()
        cells = rows.new_tensor([trace.features[level].shape[-2:] for level in levels])
        input_sizes = rows.new_tensor([trace.input_size]).expand(len(rows), 2)
        maps[rows] = heat.spread([trace.grids[level] for level in levels], cells, input_sizes, size)
    return maps

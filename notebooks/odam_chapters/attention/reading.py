"""Where DETR looked, read from its attention weights: the mean over a layer's heads, aligned with the picture."""

from torch import Tensor

from odam_lib.detections import Detections
from odam_lib.detectors.queries import Attention, QueryTrace
from odam_lib.detectors.trace import Trace
from odam_lib.kernels import checks
from odam_lib.kernels.grid import sample_grid


class NoAttentionError(ValueError):
    """The detector has no attention weights to read."""


def find_objects(trace: Trace, score_threshold: float) -> Detections:
    """The detections of a pass that has attention weights to read, one or more.

    Raises:
        NoAttentionError: the detector has none.
        ValueError: nothing is found, or the threshold is outside [0, 1].
    """
    get_attention(trace)
    found = trace.detections(score_threshold)
    if not len(found):
        raise ValueError(f"Nothing is found above a score of {score_threshold:g}: choose a lower SCORE_THRESHOLD.")
    return found


def get_attention(trace: Trace) -> Attention:
    """The attention weights of a pass.

    Raises:
        NoAttentionError: the detector has none.
    """
    attention = trace.attention if isinstance(trace, QueryTrace) else None
    if attention is None:
        raise NoAttentionError(f"{trace.candidates.source} has no attention to read: choose a DETR, as detr-scenes.")
    return attention


def count_cells(trace: Trace) -> tuple[int, int]:
    """(rows, columns) of attention cells that are centred on the picture, not on its padding."""
    attention = get_attention(trace)
    grid, (height, width) = attention.grid, trace.input_size
    inside = (int((height - grid.y) // grid.dy) + 1, int((width - grid.x) // grid.dx) + 1)
    return min(inside[0], attention.size[0]), min(inside[1], attention.size[1])


def find_cell(trace: Trace, x: float, y: float) -> tuple[int, int]:
    """(row, column) of the attention cell nearest to a point of the picture.

    Args:
        trace: a pass of a DETR.
        x, y: in pixels of the image.

    Raises:
        NoAttentionError: the detector has no attention.
        TypeError: x or y is no number.
        ValueError: the point lies outside the picture.
    """
    grid, (height, width) = get_attention(trace).grid, trace.candidates.image_size
    x, y = checks.number("x", x), checks.number("y", y)
    if not (0 <= x <= width and 0 <= y <= height):
        raise ValueError(f"The point ({x:g}, {y:g}) lies outside the picture of {width} x {height} pixels.")
    rows, columns = count_cells(trace)
    row = round((y * trace.input_size[0] / height - grid.y) / grid.dy)
    column = round((x * trace.input_size[1] / width - grid.x) / grid.dx)
    return min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)


def locate_cell(trace: Trace, row: int, column: int) -> tuple[float, float]:
    """(x, y) in pixels of the image of the centre of an attention cell."""
    grid, (height, width) = get_attention(trace).grid, trace.candidates.image_size
    x, y = grid.x + column * grid.dx, grid.y + row * grid.dy
    return x * width / trace.input_size[1], y * height / trace.input_size[0]


def read_encoder_attention(
    trace: Trace, x: float, y: float, layer: int = -1, size: tuple[int, int] | None = None
) -> Tensor:
    """Where the encoder looked from a place of the picture: its self-attention there, the mean over the heads.

    Args:
        trace: a pass of a DETR.
        x, y: the place in pixels of the image; the cell nearest to it is taken.
        layer: of the encoder; the last one by default.
        size: (height, width) to spread the image over; default the image's own.

    Returns:
        ``Tensor[H, W]``, aligned with the image.

    Raises:
        NoAttentionError: the detector has no attention.
        TypeError, IndexError: no number, or no such layer.
        ValueError: the place lies outside the picture.
    """
    row, column = find_cell(trace, x, y)
    return spread_cells(trace, read_encoder_cells(trace, layer)[row, column][None], size)[0]


def read_encoder_cells(trace: Trace, layer: int = -1) -> Tensor:
    """Where the encoder looked from each cell: its self-attention, the mean over the heads.

    Args:
        trace: a pass of a DETR.
        layer: of the encoder; the last one by default.

    Returns:
        ``Tensor[h, w, h, w]``, of each cell the weights of all cells, which sum to one.

    Raises:
        NoAttentionError: the detector has no attention.
        TypeError, IndexError: no such layer.
    """
    attention = get_attention(trace)
    layer = checks.row(layer, len(attention.encoder), "Layer")
    return attention.encoder[layer].mean(dim=0).unflatten(1, attention.size).unflatten(0, attention.size)


def read_attention_cells(trace: Trace, detections: Detections, layer: int = -1, head: int | None = None) -> Tensor:
    """The decoder's cross-attention of each detection's query, as weights of cells.

    Args:
        trace: a pass of a DETR.
        detections: N rows of that pass.
        layer: of the decoder; the last one by default.
        head: one head; ``None`` for the mean over all.

    Returns:
        ``Tensor[N, h, w]``; each sums to one.

    Raises:
        NoAttentionError: the detector has no attention.
        TypeError, IndexError: no ``Detections``, or no such layer or head.
        ValueError: detections of another image or detector.
    """
    attention = get_attention(trace)
    trace.check(detections, ("class",))
    weights = attention.cross[checks.row(layer, len(attention.cross), "Layer")]
    chosen = weights.mean(dim=0) if head is None else weights[checks.row(head, len(weights), "Head")]
    return chosen[detections.index].unflatten(1, attention.size)


def read_cross_attention(trace: Trace, detections: Detections, layer: int = -1, head: int | None = None) -> Tensor:
    """:func:`read_attention_cells` at the pixels of the image: ``Tensor[N, H, W]``."""
    return spread_cells(trace, read_attention_cells(trace, detections, layer, head))


def read_centre_cells(trace: Trace, detections: Detections) -> Tensor:
    """The encoder's self-attention, the last layer's, at the cell nearest to the centre of each detection's box.

    Returns:
        ``Tensor[N, h, w]``, weights of cells; each sums to one. Errors as :func:`read_attention_cells`.
    """
    attention = get_attention(trace)
    trace.check(detections, ("class",))
    centres = ((detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2).tolist()
    cells = [find_cell(trace, x, y) for x, y in centres]
    flat = [row * attention.size[1] + column for row, column in cells]
    return attention.encoder[-1].mean(dim=0)[flat].unflatten(1, attention.size)


def read_centre_attention(trace: Trace, detections: Detections) -> Tensor:
    """:func:`read_centre_cells` at the pixels of the image: ``Tensor[N, H, W]``."""
    return spread_cells(trace, read_centre_cells(trace, detections))


def spread_cells(trace: Trace, cells: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Values of cells that attention is paid to, ``Tensor[N, h, w]``, at the pixels of the image.

    Args:
        trace: the pass.
        cells: of the size that :class:`Attention` names.
        size: (height, width) to spread the image over; default the image's own.

    Returns:
        ``Tensor[N, H, W]``.
    """
    attention, size = get_attention(trace), size or trace.candidates.image_size
    if not len(cells):
        return cells.new_zeros((0, *size))
    return sample_grid(cells, attention.grid, trace.input_size, size)

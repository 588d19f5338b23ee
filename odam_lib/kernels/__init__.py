"""The paper's equations: tensors in, tensors out."""

from odam_lib.kernels.losses import OdamLoss as OdamLoss, odam_train_loss as odam_train_loss, pair_losses as pair_losses
from odam_lib.kernels.nms import (
    Kept as Kept,
    are_duplicates as are_duplicates,
    feature_nms as feature_nms,
    keep_all as keep_all,
    odam_nms as odam_nms,
    soft_nms as soft_nms,
)
from odam_lib.kernels.odam import (
    combine as combine,
    heat_map as heat_map,
    min_max as min_max,
    smooth as smooth,
)
from odam_lib.kernels.regions import box_blob as box_blob, box_regions as box_regions
from odam_lib.kernels.similarity import (
    common_size as common_size,
    correlation as correlation,
    short_edge_size as short_edge_size,
)

"""The methods that are compared, by the names that they have in tables."""

from odam_lib.explainers.bbam import BBAM
from odam_lib.explainers.controls import BoxFill, CentredGaussian, EigenCAM, RandomMap
from odam_lib.explainers.d_close import DCLOSE
from odam_lib.explainers.drise import DRISE
from odam_lib.explainers.explain import Explainer
from odam_lib.explainers.g_came import GCAME
from odam_lib.explainers.grad_cam import GradCAM, GradCAMPlusPlus
from odam_lib.explainers.layer_cam import LayerCAM
from odam_lib.explainers.odam import ODAM
from odam_lib.explainers.smooth_grad import SmoothGrad
from odam_lib.explainers.ss_grad_cam import SSGradCAMPlusPlus
from odam_lib.explainers.whole import Combined

SMOOTHING_ABLATION: dict[str, Explainer] = {
    "none": ODAM(smoothing=None),
    **{f"fixed {sigma:g}": ODAM(smoothing=sigma) for sigma in (0.5, 1.0, 2.0)},
    **{f"adaptive {share:g}": ODAM(share=share) for share in (0.05, 0.1, 0.2, 0.3)},
}
"""What the ablation of ODAM's smoothing compares: none, fixed in feature cells, and shares of the short side."""
RIVALS: dict[str, Explainer] = {"LayerCAM": LayerCAM(), "G-CAME": GCAME(), "SSGrad-CAM++": SSGradCAMPlusPlus()}
"""White-box methods that are newer than the paper, or that others show today; each map takes milliseconds."""


def comparison(masks: int = 1000, seed: int = 0) -> dict[str, Explainer]:
    """The methods that the notebook compares, and the controls.

    Args:
        masks: number of D-RISE's masks.
        seed: of the masks, and of the random control.
    """
    return {
        "ODAM": ODAM(),
        "ODAM combined": Combined(ODAM()),
        "Grad-CAM": GradCAM(),
        "Grad-CAM++": GradCAMPlusPlus(),
        "D-RISE": DRISE(masks, seed=seed),
        "box fill": BoxFill(),
        "centred Gaussian": CentredGaussian(),
        "random": RandomMap(seed=seed),
        "Eigen-CAM": EigenCAM(),
    }


def on_demand(masks: int = 1000, seed: int = 0) -> dict[str, Explainer]:
    """Left out unless they are asked for; ``masks`` are of D-RISE and D-CLOSE, ``seed`` of masks and noise.

    BBAM, D-CLOSE and SmoothGrad take seconds for each object, the window is what Odam-Train trains, and coarser masks
    (Fig. 1b) take as long as D-RISE's own of 16 x 16 cells.
    """
    return {
        **RIVALS,
        "ODAM window": ODAM(derivative="window"),
        "D-RISE 8": DRISE(masks, cells=8, seed=seed),
        "D-CLOSE": DCLOSE(max(masks, DCLOSE.levels), seed=seed),
        "SmoothGrad": SmoothGrad(seed=seed),
        "BBAM": BBAM(),
    }

"""Training, with Odam-Train as a term of the loss."""

from odam_lib.training.detector import train_detector
from odam_lib.training.odam_train import OdamTrain
from odam_lib.training.settings import DetectorSettings

__all__ = ["DetectorSettings", "OdamTrain", "train_detector"]

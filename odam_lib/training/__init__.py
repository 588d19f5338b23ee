"""Training, with Odam-Train as a term of the loss."""

from odam_lib.training.detector import train_detector as train_detector
from odam_lib.training.odam_train import OdamTrain as OdamTrain
from odam_lib.training.settings import DetectorSettings as DetectorSettings

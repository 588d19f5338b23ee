"""Training, with Odam-Train as a term of the loss."""

from odam_lib.training.loop import Settings as Settings, train as train

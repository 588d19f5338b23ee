"""What decides the weights that a training ends with."""

import math
import shlex
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields

from odam_lib.categories import PEOPLE
from odam_lib.datasets.layouts import UNDERSTOOD
from odam_lib.datasets.opening import DRAWN, KINDS, is_drawn
from odam_lib.datasets.scenes import CATEGORIES
from odam_lib.detectors.zoo import ARCHITECTURES
from odam_lib.files import user_path
from odam_lib.training.odam_train import OdamTrain

SHORTCUT = "shortcut"
DATASETS = (*DRAWN[1:], SHORTCUT, *KINDS)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ABC):
    """The settings that every training has.

    Attributes:
        number: training pictures.
        size: side of a generated scene in pixels.
        epochs: passes over the pictures.
        batch_size: pictures a step, of all processes together.
        learning_rate: peak of the one-cycle schedule of AdamW.
        weight_decay: of AdamW.
        seed: random seed of the initial weights, the order and the flips.

    Raises:
        ValueError: which of them was wrong.
    """

    number: int
    size: int = 256
    epochs: int
    batch_size: int
    learning_rate: float = 2e-3
    weight_decay: float
    seed: int = 0

    # Some trainings make these settings of their own.
    dataset = "crowd"
    accumulate = 1
    clip = math.inf

    def __post_init__(self) -> None:
        self.refuse_nonpositive("number", "epochs", "batch_size", "learning_rate")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay is {self.weight_decay}: give 0 for none, or a positive number.")
        if self.number < self.batch_size:
            raise ValueError(f"{self.number} pictures do not fill a batch of {self.batch_size}: take more.")

    def refuse_nonpositive(self, *names: str) -> None:
        """Raise ``ValueError`` for the first of some settings that is no positive number."""
        for name in names:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}: give a positive number.")

    @property
    @abstractmethod
    def name(self) -> str:
        """What the trained network is called."""

    @property
    def drawn(self) -> bool:
        """Whether the pictures are drawn scenes."""
        return is_drawn(self.dataset) or self.dataset == SHORTCUT

    @property
    def steps_per_epoch(self) -> int:
        return self.number // self.batch_size

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def to_words(self) -> list[str]:
        """The command-line options that say the same."""
        options = {name: value for name, value in asdict(self).items() if value != ""}
        return [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in options.items()]


@dataclass(frozen=True, kw_only=True)
class DetectorSettings(TrainingSettings):
    """Everything that decides the weights of a detector.

    Attributes:
        detector: one of ``ARCHITECTURES``.
        dataset: a setting of the scenes (``street``, ``beach``, ``room``, ``crowd``, or ``mixed`` for the first three),
            ``shortcut`` for streets with the labels of :class:`ShortcutScenes`, or other data by its kind or path, see
            :func:`~odam_lib.datasets.opening.open_parts`.
        start: a detector, by a name of ``load_detector`` or the folder of a training, whose parameters are taken over
            where name and shape agree; empty for none.
        frozen: names of modules that stay as they start, separated by commas; their batch norms keep their statistics.
        accumulate: parts that each process takes its share of a step in, one after another; losses are their mean.
        backbone_rate: factor on the learning rate of the backbone, where it starts from trained weights.
        clip: largest norm of the gradient; a larger one is scaled down to it.
        precision: ``float32``, or ``bfloat16`` for the detector's towers (losses stay in float32).
        odam_weight: weight of Odam-Train's loss beside the detector's own; 0 for none.
        odam_from: the share of all steps after which that loss begins: maps of a detector that finds nothing yet are
            noise, and separating them costs precision.
        odam_until: the share of all steps after which that loss ends.
        odam_negatives, odam_order, odam_bound, odam_cap, odam_side, odam_target, odam_consistency, odam_separation:
            see :class:`OdamTrain`.

    Raises:
        ValueError: which of them was wrong.
    """

    detector: str = "fcos"
    dataset: str = "mixed"
    start: str = ""
    frozen: str = ""
    number: int = 6000
    epochs: int = 10
    batch_size: int = 16
    accumulate: int = 1
    backbone_rate: float = 1.0
    clip: float = 10.0
    weight_decay: float = 0.05
    precision: str = "bfloat16"
    odam_weight: float = 0.0
    odam_from: float = 0.0
    odam_until: float = 1.0
    odam_negatives: str = OdamTrain.negatives
    odam_order: str = OdamTrain.order
    odam_bound: str = OdamTrain.bound
    odam_cap: int = OdamTrain.cap
    odam_side: int = OdamTrain.side
    odam_target: str = OdamTrain.target
    odam_consistency: float = OdamTrain.consistency
    odam_separation: float = OdamTrain.separation

    def __post_init__(self) -> None:
        if self.detector not in ARCHITECTURES:
            raise ValueError(f"detector is {self.detector!r}: choose among {', '.join(ARCHITECTURES)}.")
        if self.dataset not in DATASETS and not user_path(self.dataset).exists():
            raise ValueError(
                f"dataset is {self.dataset!r}: choose among {', '.join(DATASETS)}, or give a path that is there: "
                f"{UNDERSTOOD}."
            )
        super().__post_init__()
        self.refuse_nonpositive("accumulate", "backbone_rate", "clip")
        if not 0 <= self.odam_weight < math.inf:
            raise ValueError(f"odam_weight is {self.odam_weight}: give 0 for no Odam-Train, or a positive number.")
        if not 0 <= self.odam_from < 1:
            raise ValueError(f"odam_from is {self.odam_from}: give a share of the training in [0, 1).")
        if not self.odam_from < self.odam_until <= 1:
            raise ValueError(f"odam_until is {self.odam_until}: give a share of the training after odam_from, up to 1.")
        if self.batch_size % self.accumulate:
            raise ValueError(f"A batch of {self.batch_size} cannot be taken in {self.accumulate} equal parts.")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision is {self.precision!r}: give float32 or bfloat16.")
        if self.frozen and not self.start:
            raise ValueError(f"{self.frozen} would stay at random weights: give a start, or freeze nothing.")
        self.odam  # noqa: B018, refuses what it does not know

    @property
    def name(self) -> str:
        group = self.dataset if self.dataset in DATASETS else "own"
        if self.drawn and group not in ("crowd", SHORTCUT):
            group = "scenes"
        return f"{self.detector}-{group}{'-odam' if self.odam_weight else ''}"

    @property
    def categories(self) -> tuple[str, ...]:
        """The class names, index 0 is the background; none where the data set itself says them."""
        if self.dataset in ("crowd", "crowdhuman"):
            return PEOPLE
        return CATEGORIES if self.drawn else ()

    @property
    def frozen_modules(self) -> tuple[str, ...]:
        """The names in ``frozen``."""
        return tuple(filter(None, self.frozen.split(",")))

    @property
    def odam(self) -> OdamTrain:
        """How heat maps are compared, if ``odam_weight`` is not 0."""
        return OdamTrain(**{one.name: getattr(self, f"odam_{one.name}") for one in fields(OdamTrain)})

    def to_words(self) -> list[str]:
        words = super().to_words()
        return words if self.odam_weight else [one for one in words if not one.startswith("--odam-")]

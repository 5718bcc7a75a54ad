"""Every knob: dataclass defaults < one `base:` file < the file < `--set a.b=value`.

A section's fields are the keyword arguments of the function or class it feeds (a test compares the
signatures), so components never import this package. An unknown key is an error that offers the
nearest name; values are coerced to the field's type.
"""

from facecond.config.few_step import FewStepConfig
from facecond.config.first_stage import (
    AutoencoderConfig,
    AutoencoderLossConfig,
    DiscriminatorConfig,
    FirstStageDataConfig,
    FirstStageRunConfig,
    FirstStageTrainConfig,
)
from facecond.config.judge import JudgeConfig, JudgeDataConfig, JudgeSection
from facecond.config.loading import dump, find, load, read_mapping
from facecond.config.pairs import PairsConfig
from facecond.config.ranges import RANGES
from facecond.config.reference import ReferenceConfig
from facecond.config.run import (
    DataConfig,
    DenoiserConfig,
    DropoutConfig,
    FirstStageConfig,
    ObjectiveConfig,
    OptimConfig,
    PerceptualConfig,
    RoutingConfig,
    RunConfig,
    SamplingConfig,
    TrainConfig,
)
from facecond.config.studies import Study, Variant, load_study
from facecond.config.study import (
    StudyConfig,
    StudyDataConfig,
    StudyEvaluateConfig,
    StudyJudgesConfig,
)

__all__ = [
    "RANGES",
    "AutoencoderConfig",
    "AutoencoderLossConfig",
    "DataConfig",
    "DenoiserConfig",
    "DiscriminatorConfig",
    "DropoutConfig",
    "FewStepConfig",
    "FirstStageConfig",
    "FirstStageDataConfig",
    "FirstStageRunConfig",
    "FirstStageTrainConfig",
    "JudgeConfig",
    "JudgeDataConfig",
    "JudgeSection",
    "ObjectiveConfig",
    "OptimConfig",
    "PairsConfig",
    "PerceptualConfig",
    "ReferenceConfig",
    "RoutingConfig",
    "RunConfig",
    "SamplingConfig",
    "Study",
    "StudyConfig",
    "StudyDataConfig",
    "StudyEvaluateConfig",
    "StudyJudgesConfig",
    "TrainConfig",
    "Variant",
    "dump",
    "find",
    "load",
    "load_study",
    "read_mapping",
]

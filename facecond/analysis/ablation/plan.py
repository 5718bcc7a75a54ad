"""From a study to its runs: what each one is, and what is known of it on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facecond.config import JudgeConfig, RunConfig, Study, dump, load
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError, nearest
from facecond.storage import hash_of, read_json, sha256
from facecond.training.export import NOT_TRAINING, unused_sections
from facecond.training.initialise import Source

IN_STUDY = "OUT/"
FILES = (("routing", "file"), ("routing", "sensitivity"))
"""Settings that may name a file in the study's own folder, as OUT/NAME."""
RANKS = ("schema", "checksum", "order", "rank")
"""All that a routing reads of a sensitivity file."""
JUDGE_KINDS = ("parser", "attributes")


@dataclass(frozen=True)
class Run:
    """One training and its evaluation.

    Attributes:
        config: with the study's data folder and the run's seed.
        config_hash: of all that decides the model and how it samples.
        folder: OUT/runs/VARIANT/seed-N.
        init: folder of the run that it begins from, or None.
    """

    variant: str
    seed: int
    config: RunConfig
    config_hash: str
    folder: Path
    init: Path | None = None

    @property
    def name(self) -> str:
        """VARIANT/seed-N."""
        return f"{self.variant}/seed-{self.seed}"


def plan_runs(study: Study, out: Path, seeds: Sequence[int] | None = None) -> list[Run]:
    """All runs of the study, seed by seed, so that a sweep that is stopped has whole rounds; in
    each round the run that the others begin from comes first.

    Args:
        study, out: what is run, and its folder.
        seeds: in place of the study's own.
    """
    runs = []
    for seed in study.config.seeds if seeds is None else seeds:
        first: Run | None = None
        for variant in sorted(study.variants, key=lambda variant: variant.name != study.init):
            config = placed(variant.config, out)
            config.data.root, config.train.seed = str(data_root(study, out)), seed
            folder = out / "runs" / variant.name / f"seed-{seed}"
            own = config_hash(config)
            if first is None:
                run = Run(variant.name, seed, config, own, folder)
            else:
                whole = hash_of([own, first.config_hash])
                run = Run(variant.name, seed, config, whole, folder, first.folder)
            first = run if variant.name == study.init else first
            runs.append(run)
    return runs


def chosen(study: Study, runs: Sequence[Run], only: Sequence[str]) -> list[Run]:
    """The runs of these variants, and of the one that they begin from; of all where none is
    named."""
    names = {study.variant(name).name for name in only}
    names |= {study.init} if names and study.init else set()
    return [run for run in runs if not names or run.variant in names]


def data_root(study: Study, out: Path) -> Path:
    """The prepared folder that all runs read."""
    root = Path(study.config.data.root) if study.config.data.root else out / "data"
    return root.resolve()  # a cluster's processes start elsewhere


def judge_folders(study: Study, out: Path) -> list[Path]:
    """The judges' folders, given or trained for the study."""
    told = study.config.judges
    if told.folders:
        return [Path(folder).resolve() for folder in told.folders]
    return [out.resolve() / "judges" / f"seed-{seed}" for seed in told.seeds]


def placed(config: RunConfig, out: Path) -> RunConfig:
    """A copy of the config in which files of the study's folder (`OUT/...`) have their paths."""
    config = deepcopy(config)
    for section, name in FILES:
        owner = getattr(config, section)
        if (value := getattr(owner, name)).startswith(IN_STUDY):
            setattr(owner, name, str(out.resolve() / value.removeprefix(IN_STUDY)))
    return config


def config_hash(config: RunConfig) -> str:
    """Hash of a training with its sampler, of what its routing reads of files and of its teacher,
    without what changes nothing."""
    rules, measured = Path(config.routing.file), Path(config.routing.sensitivity)
    read = [sha256(rules)] if rules.is_file() else []
    if measured.is_file():  # measured again it ranks alike, but took another time
        found = read_json(measured)
        read.append(hash_of({key: found[key] for key in RANKS if key in found}))
    if config.few_step.teacher:
        read.append(Source.open(config.few_step.teacher).hash)
    return hash_of([_told(config), read])


def flat(config: RunConfig) -> dict[str, Any]:
    """Dotted keys and values of what decides a run."""
    found: dict[str, Any] = {}
    for section, values in asdict(config).items():
        found |= {f"{section}.{key}": value for key, value in values.items()}
    return {key: value for key, value in found.items() if key not in NOT_TRAINING}


def _told(config: RunConfig) -> dict[str, Any]:
    """`flat` without unused sections."""
    unused = unused_sections(config)
    return {key: v for key, v in flat(config).items() if key.partition(".")[0] not in unused}


def identity(study: Study) -> dict[str, dict[str, Any]]:
    """What all runs of a study's folder share: base, data, judges, as flat settings.

    Raises:
        UserError: data, judges or their configs that are not there.
    """
    told = study.config
    base = {k: v for k, v in _told(study.base).items() if k not in ("data.root", "train.seed")}
    unsaid = {"root"} | ({"variations"} if told.data.variations == 1 else set())
    data = {key: value for key, value in asdict(told.data).items() if key not in unsaid}
    if told.data.root:
        data = {"data_hash": PreparedFolder.open(told.data.root).data_hash}
    elif told.data.count < 1:
        where = f"{study.file} (data)"
        raise UserError("no faces are named", where, "Set data.root, or data.count to render.")
    if told.judges.folders:
        judges: dict[str, Any] = {"hash": judges_hash([Path(p) for p in told.judges.folders])}
    else:
        judges = {key: value for key, value in asdict(told.judges).items() if key != "folders"}
        for kind in JUDGE_KINDS:
            judges[f"{kind}_config"] = dump(load(JudgeConfig, judges[kind]))
    count = len(told.judges.folders or told.judges.seeds)
    if count > 2:
        where = f"{study.file} (judges)"
        raise UserError(f"{count} judges are given", where, "Give one or two.")
    return {"base": base, "data": data, "judges": judges}


def check_probes(study: Study, known: Mapping[str, Any]) -> None:
    """Raise `UserError` for a probe that there is not."""
    for name in study.config.evaluate.probes:
        if name not in known:
            where = f"{study.file} (evaluate.probes)"
            raise UserError(f"there is no probe '{name}'", where, nearest(name, known))
    if not study.config.evaluate.probes:
        raise UserError(
            "nothing is measured", f"{study.file} (evaluate.probes)", "Name at least one probe."
        )


def judges_hash(folders: Sequence[Path]) -> str:
    """Hash of the judges' weights and thresholds."""
    found = []
    for folder in folders:
        for kind in JUDGE_KINDS:
            files = [
                file
                for file in sorted((folder / kind).glob("*"))
                if file.suffix in (".safetensors", ".json", ".pth", ".bin")
                and file.name != "scores.json"
            ]
            if not files:
                raise UserError(
                    "holds no judge", folder / kind, f"Make it: facecond train judge {kind}."
                )
            found.append([sha256(file) for file in files])
    return hash_of(found)


def evaluation_hash(study: Study, judges: str) -> str:
    """Hash of how runs are scored."""
    told = asdict(study.config.evaluate)
    if "references" not in told["probes"]:
        del told["references"]
    return hash_of([told, judges])


def last_step(run: Run) -> int:
    """How far the training has come, by its log."""
    try:
        with open(run.folder / "metrics.jsonl", "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            lines = file.read().splitlines()
    except OSError:
        return 0
    for line in reversed(lines):
        _, found, rest = line.partition(b'"step": ')
        digits = rest.split(b",")[0].strip(b" }")
        if found and digits.isdigit():
            return int(digits)
    return 0


def done_record(run: Run, name: str = "done.json") -> dict[str, Any] | None:
    """What a finished run wrote last; None of an unfinished one."""
    return read_json(run.folder / name) if (run.folder / name).is_file() else None

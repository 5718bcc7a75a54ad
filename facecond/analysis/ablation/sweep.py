"""The sweep: faces and judges once, then every run that is missing, then the report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from facecond.analysis.ablation import work
from facecond.analysis.ablation.manifest import Manifest, only_sweep
from facecond.analysis.ablation.plan import (
    JUDGE_KINDS,
    Run,
    check_probes,
    chosen,
    data_root,
    evaluation_hash,
    judge_folders,
    judges_hash,
    last_step,
    plan_runs,
)
from facecond.analysis.ablation.tasks import Engine, Event, Task, is_disk_full
from facecond.config import Study
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.storage import make_folder, read_json
from facecond.training.session import signals_noted

FREE_SPACE = "Free space; the same command goes on, and finished runs are kept."


@dataclass
class Swept:
    """How a sweep ended.

    Attributes:
        signum: the signal that stopped it, or 0.
        failed: name of a run -> its error.
        done: how many of all the study's runs are finished.
        total: how many there are.
    """

    signum: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    done: int = 0
    total: int = 0


def sweep(
    study: Study,
    out: str | Path,
    engine: Engine,
    *,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] = (),
    workers: int = 1,
) -> Swept:
    """Do all runs of a study that are missing or failed.

    Args:
        study: what to run.
        out: its folder; a sweep that was stopped, in whatever way, goes on there.
        engine: where the runs are done.
        seeds: in place of the study's own.
        only: names of variants: the other runs wait for another call.
        workers: processes that render faces.

    Raises:
        UserError: a fault of the study, a folder of another one, faces or judges that cannot be
            made, a full disk. What is finished stays finished.
    """
    out = Path(out).resolve()
    check_probes(study, work.PROBES)
    with only_sweep(out), signals_noted() as stopped:
        manifest = Manifest.open(study, out)
        try:
            manifest.stamp()
            manifest.write()
            if not prepare(study, out, engine, stopped, workers):
                return Swept(signum=stopped())
            runs = plan_runs(study, out, seeds)
            orders = orders_of(study, out, runs)
            for run in manifest.take_in(runs, _shared(orders)):
                shutil.rmtree(run.folder, ignore_errors=True)
            manifest.write()
            wanted = [
                run
                for run in chosen(study, runs, only)
                if manifest.runs[run.name]["state"] != "done"
            ]
            _do(wanted, orders, manifest, engine, stopped, len(runs))
        except OSError as error:
            if is_disk_full(error):
                raise UserError("the disk is full", out, FREE_SPACE) from None
            raise
    states = manifest.counts(runs)
    failed = {
        run.name: manifest.runs[run.name]["error"]
        for run in chosen(study, runs, only)
        if manifest.runs[run.name]["state"] == "failed"
    }
    return Swept(stopped(), failed, states["done"], len(runs))


def prepare(
    study: Study, out: Path, engine: Engine, stopped: Callable[[], int], workers: int
) -> bool:
    """Make the faces and the judges that are not there; False where a signal stopped it."""
    told, root, logs = study.config, data_root(study, out), make_folder(out / "logs")
    if not told.data.root and not (root / "manifest.json").is_file():
        faces = Task("faces", work.make_faces, (root, told.data, workers), logs / "faces.txt")
        if not _all(engine, [faces], stopped):
            return False
    tasks = []
    if not told.judges.folders:
        configs = {"parser": told.judges.parser, "attributes": told.judges.attributes}
        for seed, folder in zip(told.judges.seeds, judge_folders(study, out), strict=True):
            for kind in JUDGE_KINDS:
                name, place = f"judge {kind} {seed}", folder / kind
                if not (place / "scores.json").is_file():
                    what = (kind, configs[kind], str(root), place, seed, told.judges.steps)
                    log = logs / f"{name.replace(' ', '-')}.txt"
                    tasks.append(Task(name, work.make_judge, what, log))
    return _all(engine, tasks, stopped)


def orders_of(study: Study, out: Path, runs: Sequence[Run]) -> dict[str, work.RunOrder]:
    """Name of a run -> all that it needs. Faces and judges must be there."""
    judges = judge_folders(study, out)
    shared = {
        "data_hash": PreparedFolder.open(data_root(study, out)).data_hash,
        "evaluation_hash": evaluation_hash(study, judges_hash(judges)),
    }
    return {
        run.name: work.RunOrder(
            variant=run.variant,
            seed=run.seed,
            folder=run.folder,
            config=run.config,
            identity={"config_hash": run.config_hash, **shared},
            evaluate=study.config.evaluate,
            judges=tuple(map(str, judges)),
            store=out / "shared",
            init=run.init,
        )
        for run in runs
    }


def _shared(orders: dict[str, work.RunOrder]) -> dict[str, str]:
    told = next(iter(orders.values())).identity
    return {key: value for key, value in told.items() if key != "config_hash"}


def _do(
    wanted: Sequence[Run],
    orders: dict[str, work.RunOrder],
    manifest: Manifest,
    engine: Engine,
    stopped: Callable[[], int],
    total: int,
) -> None:
    by_name = {run.name: run for run in wanted}
    rounds = _rounds(wanted, orders)
    busy: list[Run] = []
    with tqdm(total=total, initial=total - len(wanted), desc="runs", unit="run") as bar:
        events = _in_turn(engine, rounds, stopped)
        try:
            for event in events:
                if event is None:
                    if (words := _at_work(busy)) != bar.postfix:
                        bar.set_postfix_str(words)
                    continue
                run = by_name[event.task.name]
                if event.outcome is None:
                    busy.append(run)
                    manifest.begin(run)
                    bar.set_postfix_str(_at_work(busy))
                    continue
                busy.remove(run)
                manifest.end(run, event.outcome)
                bar.update(event.outcome.state == "done")
                tqdm.write(_told(run, event.outcome))
                if event.outcome.disk_full:
                    raise UserError(f"the disk is full ({run.name})", run.folder, FREE_SPACE)
        finally:
            events.close()  # type: ignore[attr-defined]
            for run in busy:
                manifest.runs[run.name]["state"] = "missing"
            if busy:
                manifest.write()


def _rounds(runs: Sequence[Run], orders: dict[str, work.RunOrder]) -> list[list[Task]]:
    """The runs as tasks, in rounds: no run is in the round of the one that it begins from."""
    rounds: list[list[Task]] = [[]]
    pending: set[Path] = set()
    for run in runs:
        if run.init in pending:
            rounds.append([])
            pending.clear()
        what = (orders[run.name],)
        rounds[-1].append(Task(run.name, work.make_run, what, run.folder / "log.txt"))
        pending.add(run.folder)
    return rounds


def _in_turn(
    engine: Engine, rounds: Sequence[list[Task]], stopped: Callable[[], int]
) -> Iterator[Event | None]:
    """The events of all rounds, one round after the other."""
    for tasks in rounds:
        if not stopped():
            yield from engine.run(tasks, stopped)


def _all(engine: Engine, tasks: list[Task], stopped: Callable[[], int]) -> bool:
    """Do tasks that everything else needs; the first failure is a `UserError`."""
    if not tasks:
        return True
    left = {task.name for task in tasks}
    with tqdm(total=len(tasks), desc="preparing", unit="task") as bar:
        bar.set_postfix_str(", ".join(sorted(left)))
        events = engine.run(tasks, stopped)
        try:
            for event in events:
                if event is None or event.outcome is None:
                    continue
                if event.outcome.disk_full:
                    raise UserError("the disk is full", event.task.log.parent, FREE_SPACE)
                if event.outcome.state == "failed":
                    raise UserError(
                        f"{event.task.name} failed ({event.outcome.error})",
                        event.task.log,
                        "See the file.",
                    )
                if event.outcome.state == "done":
                    left.discard(event.task.name)
                    bar.update()
                    bar.set_postfix_str(", ".join(sorted(left)))
        finally:
            events.close()  # type: ignore[attr-defined]
    return not left


def _at_work(busy: Sequence[Run]) -> str:
    """The runs at work, with how far their trainings are."""
    words = []
    for run in busy:
        step, steps = last_step(run), run.config.train.steps
        words.append(f"{run.name} {'scoring' if step >= steps else f'{step}/{steps}'}")
    return "; ".join(words)


def _told(run: Run, outcome: Any) -> str:
    """One line on a run that ended."""
    line = f"{outcome.state:<7} {run.name} ({outcome.seconds:.0f} s)"
    if outcome.state == "done":
        results = read_json(run.folder / "evaluation" / "results.json")
        shown = [m for m in ("mask_miou", "attribute_bacc", "frechet_judge") if results.get(m)]
        return "  ".join([line, *(f"{name} {results[name]:.3f}" for name in shown)])
    return f"{line}: {outcome.error}"

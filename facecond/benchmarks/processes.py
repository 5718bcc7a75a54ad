"""Training by number of processes: the same global batch on one process, and shared among two."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.benchmark import timer

from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.denoisers import OWN, rivals
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.train import own_step
from facecond.benchmarks.work import Batch, random_batch, work_of
from facecond.devices import zero_denormals
from facecond.errors import UserError

STEPS = 4
_START = (
    "import sys, json; from facecond.benchmarks.processes import train_rank; "
    "train_rank(json.loads(sys.stdin.read()))"
)


def entries(settings: Settings, case: str) -> Entries:
    """One process, two processes."""
    return {
        f"{world} process{'es' * (world > 1)}": partial(_contender, settings, world)
        for world in (1, 2)
    }


def _contender(settings: Settings, world: int) -> Contender:
    """Starts the processes anew in every run; they time their steps themselves."""
    work = work_of("", settings)
    steps = 1 if settings.quick else STEPS

    def run(repeat: int, out: Tensor) -> float:
        port = free_port()
        requests = [
            {"settings": settings.to_dict(), "rank": rank, "world": world, "port": port,
             "repeat": repeat, "steps": steps}
            for rank in range(world)
        ]  # fmt: skip
        told = _run_all(requests)
        out[0], out[1] = told["loss"], told["seconds"]
        return float(told["seconds"])

    return Contender(
        prepare=lambda repeat: repeat,
        run=run,
        shape=(2,),
        units=steps * work.batch,
        unit="images",
        work={"global_batch": work.batch, "steps": steps},
        steady=False,
    )


def _run_all(requests: list[dict[str, Any]]) -> dict[str, Any]:
    """Start a process per request, feed it, and return what the first one says."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in requests
    ]
    try:
        for process, request in zip(started, requests, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps(request))
            process.stdin.close()
            process.stdin = None
        told = [process.communicate()[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    if any(process.returncode for process in started):
        fix = "What it said stands above."
        raise UserError("a process of the training failed", "grow-processes", fix)
    found: dict[str, Any] = json.loads(told[0].splitlines()[-1])
    return found


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@zero_denormals()
def train_rank(request: dict[str, Any]) -> None:
    """One of the processes: trains on its share of the batch and says how long the steps took."""
    settings = Settings.from_dict(request["settings"])
    rank, world = request["rank"], request["world"]
    if settings.threads:
        torch.set_num_threads(max(1, settings.threads // world))
    address = f"tcp://127.0.0.1:{request['port']}"
    torch.distributed.init_process_group("gloo", address, rank=rank, world_size=world)
    work = work_of("", settings)
    rival = rivals(settings, work, training=True)[OWN]()
    rival.model.train()
    if world > 1:
        rival.call = DistributedDataParallel(rival.model)
    step = own_step(rival, work, settings.seed + rank)
    share = slice(rank * work.batch // world, (rank + 1) * work.batch // world)
    whole = random_batch(work, work.batch, request["repeat"], settings)
    mine = Batch(*(each[share] for each in (whole.latents, whole.t, whole.attributes,
                                            whole.mask)))  # fmt: skip
    step(mine)  # warm-up
    torch.distributed.barrier()
    began = timer()
    for _ in range(request["steps"]):
        loss = step(mine)
    torch.distributed.barrier()
    spent = timer() - began
    print(json.dumps({"seconds": spent, "loss": float(loss.detach())}))
    torch.distributed.destroy_process_group()

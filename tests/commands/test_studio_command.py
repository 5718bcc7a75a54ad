"""`facecond studio`: what is said before anything is served."""

from __future__ import annotations

import builtins
import socket
from pathlib import Path
from typing import Any

import pytest

from facecond.cli import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "not a model folder"),
        (["--model", "nowhere"], "nowhere: not a model folder"),
        (["nowhere", "--model", "nowhere"], "nowhere: not a model folder"),
        (["nowhere", "--model", "elsewhere"], "two models are named, nowhere and elsewhere. Leave"),
        (["nowhere", "--host", "no.such.host.invalid"], "this host is not known"),
        (["nowhere", "--port", "99999"], "from 1 to 65535"),
        (["nowhere", "--hosts", "0.0.0.0"], "Did you mean '--host'"),
    ],
)
def test_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    if "not a model folder" in message or "host" in message:
        pytest.importorskip("gradio", reason="Gradio is not installed (extra [studio])")
    with socket.create_server(("127.0.0.1", 0)) as found:
        free = found.getsockname()[1]
    assert main(["studio", "--port", str(free), *words]) == 2
    (said,) = capsys.readouterr().err.strip().splitlines()
    assert message in said


def test_gradio_is_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "gradio":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["studio", str(tmp_path)]) == 2
    assert 'in facecond\'s folder: pip install -e ".[studio]"' in capsys.readouterr().err

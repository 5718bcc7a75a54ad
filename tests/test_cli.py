"""The command line without any command's own work: help, names, errors, exit codes."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from facecond import __version__, cli
from facecond.commands import arguments
from facecond.errors import UserError

HEAVY = ("torch", "torchvision", "diffusers", "accelerate", "scipy", "cv2", "albumentations", "PIL")
COMMANDS = sorted(cli.available())


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"facecond {__version__}\n"


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"]])
def test_help_lists_every_command_that_is_there(words, capsys):
    assert cli.main(words) == 0
    listed = capsys.readouterr().out
    for name, (_, summary) in cli.available().items():
        assert f"{name} " in listed and summary in listed


def test_every_command_module_is_in_the_table():
    folder = Path(cli.__file__).parent / "commands"
    modules = {path.stem for path in folder.glob("*.py") if "def configure(" in path.read_text()}
    assert modules == {module for module, _ in cli.available().values()}


def test_help_loads_nothing_heavy(python):
    probe = (
        "import sys; from facecond import cli; cli.main(['--help']); "
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    assert python("-c", probe).stdout.endswith("LOADED []\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*name.split(), "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: facecond {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_option_of_each_command_is_one_line(name, capsys):
    assert cli.main([*name.split(), "--no-such-option"]) == 2
    _one_line(capsys)


def _one_line(capsys) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("facecond: error: ") and captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def whole_table(monkeypatch):
    monkeypatch.setattr(cli, "available", lambda: cli.TABLE)


@pytest.mark.parametrize(
    "words, advice",
    [
        (["demmo"], "Did you mean 'demo'?"),
        (["evalute", "model"], "Did you mean 'evaluate'?"),
        (["data", "rneder"], "Did you mean 'data render'?"),
        (["data"], "Choose from: data"),
        (["--verbose"], "Choose from: "),
    ],
)
def test_unknown_words(words, advice, capsys, whole_table):
    assert cli.main(words) == 2
    assert advice in _one_line(capsys)


def test_group_has_a_help(capsys, whole_table):
    assert cli.main(["data", "--help"]) == 0
    listed = capsys.readouterr().out
    assert "data render" in listed and "evaluate" not in listed


PLANTED = '''
"""A command made for this test."""
from facecond.commands import arguments
from facecond.errors import UserError

def configure(parser):
    parser.add_argument("--n", type=arguments.positive_int, default=16)
    parser.add_argument("--end", default="well")
    parser.add_argument("--layout", choices=["prepared", "folder"])

def run(args):
    if args.end == "user":
        raise UserError("is\\nempty", "photos", "Put pictures into it.")
    if args.end == "full":
        import errno, os
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "photos/a.png")
    if args.end == "folder":
        open(".").close()
    if args.end == "nameless":
        raise OSError("two\\nlines")
    if args.end == "interrupt":
        raise KeyboardInterrupt
    if args.end == "bug":
        raise ZeroDivisionError("a fault of ours")
    print("n =", args.n)
    return 1 if args.end == "found" else 0
'''


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A real command, added to the table, that can end in every way a command can."""
    (tmp_path / "planted.py").write_text(PLANTED)
    import facecond.commands

    monkeypatch.setattr(facecond.commands, "__path__", [*facecond.commands.__path__, str(tmp_path)])
    monkeypatch.setattr(cli, "available", lambda: {"planted": ("planted", "a planted command")})
    yield "planted"
    sys.modules.pop("facecond.commands.planted", None)


@pytest.mark.parametrize("end, code", [("well", 0), ("found", 1)])
def test_exit_code_is_the_commands(end, code, planted, capsys):
    assert cli.main([planted, "--end", end, "--n", "3"]) == code
    assert capsys.readouterr().out == "n = 3\n"


def test_user_error_is_one_line_with_code_2(planted, capsys):
    assert cli.main([planted, "--end", "user"]) == 2
    expected = "facecond: error: photos: is empty. Put pictures into it.\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("full", "photos/a.png: No space left on device. "),
        ("folder", ".: Is a directory. "),
        ("nameless", "two lines. "),
    ],
)
def test_a_file_that_fails_is_one_line_with_code_2(end, said, planted, capsys):
    assert cli.main([planted, "--end", end]) == 2
    assert _one_line(capsys).startswith(f"facecond: error: {said}Check ")


def test_interrupt_is_130(planted, capsys):
    assert cli.main([planted, "--end", "interrupt"]) == 130
    assert capsys.readouterr().err == "facecond: interrupted\n"


def test_a_fault_of_ours_keeps_its_traceback(planted):
    with pytest.raises(ZeroDivisionError):
        cli.main([planted, "--end", "bug"])


@pytest.mark.parametrize(
    "words, parts",
    [
        (["--n", "0"], ("--n", "whole number from 1 up", "'0'", "facecond planted --help")),
        (["--n", "many"], ("--n", "'many'")),
        (["--layout", "preparred"], ("--layout", "preparred", "prepared")),
        (["--ende", "x"], ("unknown argument '--ende'", "Did you mean '--end'?")),
        (["--end"], ("--end", "expected one argument")),
        (["stray"], ("unknown argument 'stray'", "facecond planted --help")),
    ],
)
def test_wrong_arguments_are_one_line_with_code_2(words, parts, planted, capsys):
    assert cli.main([planted, *words]) == 2
    line = _one_line(capsys)
    assert all(part in line for part in parts), line


def test_reader_that_goes_away_is_not_an_error():
    code = "import sys; sys.stdin.read(); from facecond.cli import main; sys.exit(main(['--help']))"
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as run:
        assert run.stdin and run.stdout and run.stderr
        run.stdout.close()  # the reader is gone before the first line is written
        run.stdin.close()
        assert run.stderr.read() == b""
        assert run.wait(timeout=60) == 141


def test_module_runs_as_the_command(python):
    done = python("-m", "facecond", "--version")
    assert (done.returncode, done.stdout) == (0, f"facecond {__version__}\n")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["sample", "m", "--steps", "1001"], ("--steps", "from 1 to 1000, not '1001'")),
        (["evaluate", "m", "--data", "d", "--steps", "2000"], ("--steps", "from 1 to 1000")),
        (["evaluate", "m", "--data", "d", "--n", "1"], ("--n", "at least 2 are needed")),
    ],
)
def test_numbers_that_a_command_cannot_use(words, parts, capsys):
    assert cli.main(words) == 2
    line = _one_line(capsys)
    assert all(part in line for part in parts), line


def test_a_config_comes_before_set():
    parser = cli.CommandParser(prog="facecond test")
    arguments.config_arguments(parser)
    assert parser.parse_args(["x.yaml"]).overrides == []
    with pytest.raises(UserError, match="CONFIG goes before --set"):
        parser.parse_args(["--set", "a.b=1", "x.yaml"])


def test_a_minus_begins_an_attribute_where_names_are_asked_for():
    words = ["MODEL", "--attributes", "-Eyeglasses,Smiling", "--to", "-Male", "--n", "3"]
    assert cli._joined(words) == [
        "MODEL", "--attributes=-Eyeglasses,Smiling", "--to=-Male", "--n", "3",
    ]  # fmt: skip
    assert cli._joined(["--attributes", "--mask", "m.png"]) == ["--attributes", "--mask", "m.png"]


def _examples(epilog: str | None) -> list[list[str]]:
    """The words of each command of an epilog, without `facecond`."""
    lines = (epilog or "").replace("\\\n", " ").splitlines()
    told = (line.strip().removeprefix("example: ") for line in lines)
    return [shlex.split(line)[1:] for line in told if line.startswith("facecond ")]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_read_as_they_are_pasted(name, monkeypatch, capsys):
    """Every command shows how it is used, and each example names options that there are."""
    for module, _ in cli.available().values():
        command = importlib.import_module(f"facecond.commands.{module}")
        monkeypatch.setattr(command, "run", lambda args: 0)
    parser = cli.CommandParser(prog=name)
    importlib.import_module(f"facecond.commands.{cli.TABLE[name][0]}").configure(parser)
    examples = _examples(parser.epilog)
    if name != "benchmark":  # its epilog lists the cases
        assert any(words[: len(name.split())] == name.split() for words in examples)
    for words in examples:
        assert cli.main(words) == 0, capsys.readouterr().err


def test_a_wrong_example_is_found(monkeypatch):
    (words,) = _examples("example: facecond sample --no-such \\\n    --n 3")
    assert words == ["sample", "--no-such", "--n", "3"] and cli.main(words) == 2


def test_longer_commands_are_listed_beside_the_example(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    shown = capsys.readouterr().out
    assert "example: facecond train rendered_64" in shown
    assert "see also:\n  train first-stage" in shown


@pytest.mark.parametrize("name", ["sample", "explore"])
def test_an_example_that_needs_no_model(name):
    parser = cli.CommandParser(prog=name)
    importlib.import_module(f"facecond.commands.{name}").configure(parser)
    assert any(words[1].startswith("--") for words in _examples(parser.epilog))

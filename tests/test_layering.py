"""The house rules as tests: who may know whom, what a start loads, what no file may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "facecond"

FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        "labels attribute_split errors storage seeding config devices provenance boxed card memory",
        "figures",
        "data models diffusion metrics",
        "sampling",
        "pipeline",
        "training evaluation editing face_files",
        "analysis studio",
        "benchmarks",
        "commands",
        "cli",
        "__main__",
    )
)
"""From the ground up: a room imports from the floors below, its own files, and nothing else."""

GROUND = FLOORS[0]
"""The rooms of the ground floor may also import one another."""

FEW_MAY_IMPORT: dict[str, frozenset[str]] = {
    "albumentations": frozenset({"data/augmentation.py"}),
    "omegaconf": frozenset({"config/"}),
    "yaml": frozenset({"config/"}),
    "argparse": frozenset({"cli.py", "commands/"}),
    "pickle": frozenset(),
    "dill": frozenset(),
    "datasets": frozenset(),
}
"""Outside module -> the files (or folders, with a slash) that may import it."""

MUST_NOT_IMPORT: dict[str, tuple[str, ...]] = {
    "figures.py": ("torch", "matplotlib"),
    "metrics/": ("torchvision", "diffusers", "lpips"),
    "models/routing/": ("torch", "diffusers"),
    "diffusion/": ("torchvision",),
    "diffusion/perceptual.py": ("diffusers",),
}
"""File or folder -> modules that it must not know."""

FORBIDDEN_CALLS = {
    "torch.load": "only with weights_only=True, for well-known weights of others",
    "torch.save": "weights are safetensors",
    "np.random.seed": "randomness comes from facecond.seeding",
    "torch.manual_seed": "seed with facecond.seeding.key_of(...)",
    "random.seed": "randomness comes from facecond.seeding",
    "eval": "code from data",
    "exec": "code from data",
}

LIGHT = (
    "cli",
    "errors",
    "labels",
    "attribute_split",
    "storage",
    "seeding",
    "config",
    "devices",
    "provenance",
)
HEAVY = ("torch", "torchvision", "diffusers", "accelerate", "scipy", "cv2", "albumentations")

SOURCES = sorted(PACKAGE.rglob("*.py"))
EVERYTHING = [*SOURCES, *sorted((ROOT / "tools").glob("*.py"))]


def imports_of(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Every module a file imports, at any depth, as absolute names.

    `from a import b` yields `a.b`: whether `b` is a module or a name in one, its room is the same.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                start = ".".join([*parts, *filter(None, [node.module])])
            yield from (f"{start}.{name.name}" for name in node.names)


def room_of(module: str) -> str | None:
    """`facecond.data.folder` -> `data`; the package itself (`facecond.__version__`) has none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__version__" else None


def floor_of(room: str) -> int:
    matches = [level for level, rooms in enumerate(FLOORS) if room in rooms]
    assert matches, f"facecond.{room} stands on no floor: name it in FLOORS"
    return matches[0]


def fault(importer: str, imported: str) -> str | None:
    """Why the module `importer` must not import `imported`, or None."""
    if imported.split(".")[0] != "facecond":
        return None
    here, there = room_of(importer), room_of(imported)
    if there is None or here == there:
        return None
    if here is None:
        return "facecond/__init__.py imports nothing of the package"
    if floor_of(there) > floor_of(here):
        return f"{here} stands below {there}"
    if floor_of(there) == floor_of(here) and here not in GROUND:
        return f"{here} and {there} stand on one floor"
    return None


def describe(path: Path) -> tuple[str, str, list[str]]:
    """A file -> its path within the package, its module name, what it imports."""
    relative = path.relative_to(PACKAGE)
    parts = ["facecond", *relative.with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    module = ".".join(parts[:-1] if is_package else parts)
    return relative.as_posix(), module, list(imports_of(path.read_text(), module, is_package))


def within(relative: str, places: frozenset[str] | str) -> bool:
    places = {places} if isinstance(places, str) else places
    return any(relative == p or (p.endswith("/") and relative.startswith(p)) for p in places)


def names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_imports_go_down(path):
    _, module, imported = describe(path)
    if (room := room_of(module)) is not None:
        floor_of(room)
    faults = {name: reason for name in imported if (reason := fault(module, name))}
    assert not faults


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_outside_modules_have_one_owner(path):
    relative, _, imported = describe(path)
    for name in imported:
        owners = FEW_MAY_IMPORT.get(name.split(".")[0])
        assert owners is None or within(relative, owners), f"{relative} imports {name}"
    for place, banned in MUST_NOT_IMPORT.items():
        if within(relative, place):
            assert not [n for n in imported for b in banned if f"{n}.".startswith(f"{b}.")]


@pytest.mark.parametrize("path", EVERYTHING, ids=names)
def test_no_forbidden_calls(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    keyed = [call for call in calls if any("key_of(" in ast.unparse(a) for a in call.args)]
    keyed += [call for call in calls if "weights_only=True" in map(ast.unparse, call.keywords)]
    found = {ast.unparse(call.func) for call in calls if call not in keyed}
    assert not {name: FORBIDDEN_CALLS[name] for name in found & set(FORBIDDEN_CALLS)}
    pickled = [call for call in calls for key in call.keywords if key.arg == "allow_pickle"]
    assert all(ast.unparse(call).count("allow_pickle=False") for call in pickled)


@pytest.mark.parametrize("path", EVERYTHING, ids=names)
def test_files_are_rooms_not_halls(path):
    text = path.read_text()
    assert len(text.splitlines()) <= (350 if PACKAGE in path.parents else 40)
    assert path.stem not in ("utils", "helpers", "misc", "common")
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text)
    if PACKAGE in path.parents and not within(path.relative_to(PACKAGE).as_posix(), ARGV_READERS):
        assert "sys.argv" not in text


ARGV_READERS = frozenset({"cli.py", "commands/"})


def test_no_file_names_a_place_on_some_machine():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    text_files = (".py", ".md", ".cfg", ".toml", ".yaml", ".yml", ".txt", ".json", ".html", "run")
    pattern = re.compile(r"(?<![\w.~/-])/(home|root|Users|mnt|work|workspace|scratch)/\w")
    files = [ROOT / name for name in listed if name.endswith(text_files)]
    assert files
    found = [f for f in files if f.is_file() and pattern.search(f.read_text("utf-8", "replace"))]
    assert not found


def test_datasets_folder_is_no_package():
    # It would shadow Hugging Face's `datasets` for everyone who starts from the checkout.
    assert not (ROOT / "datasets" / "__init__.py").exists()


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_nothing_heavy(module):
    probe = f"import sys, facecond.{module}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_configuring_every_command_loads_nothing_heavy():
    probe = (
        "import sys, importlib; from facecond import cli\n"
        "for name, (module, _) in cli.available().items():\n"
        "    command = importlib.import_module(f'facecond.commands.{module}')\n"
        "    command.configure(cli.CommandParser(prog=name))\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "importer, source, wrong",
    [
        ("facecond.data.folder", "from facecond.labels import ATTRIBUTES", False),
        ("facecond.data.folder", "from facecond.data.prepared import PreparedWriter", False),
        ("facecond.data.folder", "from . import prepared", False),
        ("facecond.data.folder", "from .. import models", True),
        ("facecond.data.folder", "from ..models.unet import FaceUNet", True),
        ("facecond.data.folder", "def f():\n    import facecond.pipeline", True),
        ("facecond.metrics", "from facecond import models", True),
        ("facecond.training.loop", "from facecond.evaluation import protocol", True),
        ("facecond.training.loop", "from facecond.pipeline import FacePipeline", False),
        ("facecond.storage", "from facecond.errors import UserError", False),
        ("facecond.errors", "import facecond.figures", True),
        ("facecond.commands.demo", "from facecond.commands import train", False),
        ("facecond.commands.demo", "from facecond.cli import main", True),
        ("facecond.cli", "from facecond import __version__", False),
        ("facecond", "from facecond import labels", True),
    ],
)
def test_the_rule_itself(importer, source, wrong):
    imported = list(imports_of(source, importer, is_package=False))
    assert any(fault(importer, name) for name in imported) is wrong


def test_an_unknown_room_is_refused():
    with pytest.raises(AssertionError, match="stands on no floor"):
        fault("facecond.data.folder", "facecond.novelty.thing")

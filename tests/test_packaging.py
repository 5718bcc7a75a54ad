"""The package as others get it: what the wheel holds, that it works away from the checkout."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from facecond import __version__

TEST_COMMAND = 'python3 -m venv .venv && .venv/bin/pip install -e ".[dev]" && .venv/bin/pytest'
APACHE_2_0 = "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"


@pytest.fixture(scope="module")
def settings(root: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(root / "setup.cfg")
    return parser


@pytest.fixture(scope="module")
def configs(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in (root / "configs").rglob("*.yaml")}


def test_every_package_is_listed(root, settings):
    found = {path.parent for path in (root / "facecond").rglob("__init__.py")}
    packages = {".".join(path.relative_to(root).parts) for path in found}
    assert set(settings["options"]["packages"].split()) == packages | {"facecond.configs"}


def test_requirements(settings):
    lines = settings["options"]["install_requires"].strip().splitlines()
    parsed = [Requirement(line) for line in lines if not line.startswith("#")]
    wanted = {requirement.name: requirement.specifier for requirement in parsed}
    assert all(">=" in str(specifier) for specifier in wanted.values())
    assert not wanted["scipy"].contains("1.18.0")  # clean-fid 0.1.35 fails there
    assert not wanted["albumentations"].contains("2.1.0")  # 2.0.8 is the last of its kind
    assert wanted["torch"].contains("2.11.0") and not wanted["torch"].contains("2.8.0")


def test_licence_is_the_text_of_apache_2_0(root):
    assert hashlib.sha256((root / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


def test_changelog_has_a_place_for_what_is_next(root):
    assert re.search(r"^## \[Unreleased\]$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", ".ci/run"])
def test_readme_and_ci_run_the_same_test_command(name, root):
    assert TEST_COMMAND in (root / name).read_text()


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, copy)
    for name in ("facecond", "configs"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_wheel_holds_the_package_its_configs_and_nothing_else(wheel, root, configs):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    code = {path.relative_to(root).as_posix() for path in (root / "facecond").rglob("*.py")}
    code |= {"facecond/attribute_split.json"}
    page = (root / "facecond" / "studio" / "page").iterdir()
    code |= {path.relative_to(root).as_posix() for path in page}
    boxed = (root / "facecond" / "boxed" / "model").rglob("*")
    code |= {path.relative_to(root).as_posix() for path in boxed if path.is_file()}
    about = f"facecond-{__version__}.dist-info/"
    assert {name for name in held if not name.startswith(about)} == (
        code | {f"facecond/{name}" for name in configs}
    )
    assert f"{about}licenses/LICENSE" in held


def test_wheel_works_in_another_folder(wheel, configs, tmp_path, python):
    site = tmp_path / "site"
    installed = python("-m", "pip", "install", "--no-deps", "--no-index", "--target", site, wheel)
    assert installed.returncode == 0, installed.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    probe = (
        "import sys, facecond\n"
        "from facecond.config import find\n"
        "print(facecond.__file__)\n"
        "for name in sys.argv[1:]: print(find(name))"
    )
    options = {"cwd": elsewhere, "env": {**os.environ, "PYTHONPATH": str(site)}}
    done = python("-c", probe, *sorted(configs), **options)
    assert done.returncode == 0, done.stderr
    paths = [Path(line).relative_to(site / "facecond") for line in done.stdout.splitlines()]
    assert configs
    assert [path.as_posix() for path in paths] == ["__init__.py", *sorted(configs)]
    assert python("-m", "facecond", "--version", **options).stdout == f"facecond {__version__}\n"


def test_installed_command(python):
    script = "from importlib.metadata import entry_points as e; print(*e(name='facecond'))"
    assert "facecond.cli:main" in python("-c", script).stdout

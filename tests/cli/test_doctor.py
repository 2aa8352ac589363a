"""What `doctor` says of an installation, and what a shell is offered."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version

import commands
import yaml

import scalefit
from scalefit.cli import doctor


def test_versions_are_those_that_are_installed():
    result = commands.run("scalefit doctor --json")
    parts = {part["part"]: part["version"] for part in json.loads(result.stdout)["parts"]}
    assert result.exit_code == 0
    assert parts["numpy"] == version("numpy")
    assert parts["scalefit"] == scalefit.__version__
    assert parts["font"]


def test_a_missing_library_is_named_with_what_to_do(monkeypatch):
    def without(name):
        if name in ("lmfit", "wandb"):
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", without)
    result = commands.run("scalefit doctor")
    assert result.exit_code == 1
    assert "! lmfit is missing: install scalefit again" in result.stdout
    assert "install the extra wandb" in result.stdout


def test_the_citation_file_names_this_version():
    content = yaml.safe_load((commands.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert content["version"] == scalefit.__version__
    assert content["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license"} <= content.keys()


def test_without_torch_no_device_is_named(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    assert doctor._gpu() == ""

"""What a shell offers after Tab."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from scalefit.cli import main
from scalefit.laws import standard_laws


@pytest.fixture
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("run,params,tokens,val_loss,d_model\na,1e6,1e9,3.2,64\nbb,2e6,2e9,3.0,128\n")


def offered(*words):
    """What click hands to the shell for the last word."""
    return [
        item.value for item in ShellComplete(main, {}, "scalefit", "_X").get_completions(list(words[:-1]), words[-1])
    ]


def test_names_of_laws_and_of_their_options():
    assert offered("fit", "runs.csv", "--law", "chin") == ["chinchilla"]
    assert offered("laws", "chin") == ["chinchilla"]
    options = standard_laws()["annealing"].declaration.options
    assert offered("fit", "--law", "annealing:") == [f"annealing:{name}=" for name in options]
    assert offered("fit", "--law", "annealing:decay=0.9,w") == ["annealing:decay=0.9,warmup="]
    assert offered("fit", "--law", "no-such-law:") == []


def test_columns_of_the_files_that_stand_before(there):
    assert offered("fit", "runs.csv", "--where", "N > 1 and d_m") == ["N > 1 and d_model"]
    assert set(offered("fit", "runs.csv", "--target", "")) >= {"N", "D", "loss", "d_model"}
    assert offered("inspect", "runs.csv", "--map", "loss=val") == ["loss=val_loss"]
    assert offered("inspect", "--map", "grad_n") == ["grad_norm="]
    assert offered("watch", "runs.csv", "--run", "b") == ["bb"]


def test_variables_of_a_point(there):
    assert offered("fit", "runs.csv", "--law", "chinchilla", "--at", "") == ["N=", "D="]
    assert offered("fit", "runs.csv", "--law", "chinchilla", "--at", "N=7B,") == ["N=7B,D="]


@pytest.mark.parametrize("words", [("no.csv",), (), ("-",), ("there/is/none",)])
def test_files_that_cannot_be_read_offer_nothing(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert offered("inspect", *words, "--where", "N") == []
    assert offered("fit", *words, "--at", "") == []


def test_files_without_a_loss_of_a_known_name_offer_their_columns_all_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("run,params,tokens,quality\na,1e6,1e9,3.2\nb,2e6,2e9,3.0\n")
    assert offered("fit", "runs.csv", "--map", "loss=qu") == ["loss=quality"]

"""Suggestions in place of a name that is not known: few, near, spelled as they are."""

from __future__ import annotations

from scalefit.numerics import nearest_names, suggestion


def test_three_names_at_most_and_the_nearest_first():
    known = ["power1", "power12", "power123", "Power", "powers", "law"]
    found = nearest_names("power", known)
    assert len(found) == 3
    assert found[0] == "Power"
    assert "law" not in found
    assert len(nearest_names("power", known, 1)) == 1


def test_where_nothing_is_near_all_are_named():
    assert all(name in suggestion("zzz", ["adam", "sgd"]) for name in ("adam", "sgd"))
    assert "sgd" not in suggestion("adma", ["adam", "sgd"])

"""How long a sweep will still take."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from scalefit.proxy.sweep import run


def test_the_clock_believes_the_estimate_until_a_pack_is_done_and_then_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(run.time, "monotonic", lambda: now[0])
    clock, told = run.Clock([100.0, 300.0, 200.0]), list[str]()
    assert clock.left() == 600
    now[0] += 30
    assert clock.left() == 570
    now[0] += 20  # the first pack took half of what it should
    clock.ended()
    assert clock.left() == 250
    now[0] += 30
    beside = clock.beside(told.append)
    assert beside is not None
    beside("step 3/9")
    assert told == ["step 3/9  sweep 4 min left"]
    now[0] += 10000
    assert clock.left() == 0
    assert clock.beside(None) is None
    assert str(run.Clock([36000.0])) == "sweep 10.0 h left"

"""A signal to one of several processes ends the one that has started it too, but no other."""

import os
import signal

import pytest

from tsl.callbacks.stop_signals import Stopped, StopSignals


@pytest.mark.parametrize(("parent", "told"), [(101, [(101, signal.SIGTERM)]), (1, [])])
def test_the_process_that_started_it_is_told_unless_it_has_gone(
    parent: int, told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose parent has gone gets another one, such as the first of the machine."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(os, "kill", lambda *arguments: killed.append(arguments))
    monkeypatch.setattr(os, "getppid", lambda: 101)
    signals = StopSignals()
    monkeypatch.setattr(os, "getppid", lambda: parent)
    with pytest.raises(Stopped) as stopped:
        signals._handle(signal.SIGTERM, None)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert killed == told

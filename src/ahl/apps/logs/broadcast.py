"""Several callbacks at once, of which the logs may fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ahl._common.callbacks import Callback
from ahl._common.text import first_line


class Broadcast(Callback):
    """Calls the hooks of several callbacks, one after another.

    A log that fails (the disk is full, the server gone) is left out from then on; one note names
    it, and the run goes on.

    Args:
        watcher: called last; what it raises is raised.
        logs: the others, by the names that a note calls them.
    """

    def __init__(self, watcher: Callback, logs: Mapping[str, Callback]) -> None:
        self._watcher, self._logs = watcher, dict(logs)

    def _call(self, hook: str, given: tuple[Any, ...]) -> None:
        for name, log in list(self._logs.items()):
            if name not in self._logs:  # it failed meanwhile, of a note about another one
                continue
            try:
                getattr(log, hook)(*given)
            except Exception as error:  # whatever a server's library raises
                self._logs.pop(name, None)
                self.on_note(f"{name} failed; the run goes on without it: {first_line(error)}")
        getattr(self._watcher, hook)(*given)


def _calling_all(hook: str) -> Callable[..., None]:
    def call(self: Broadcast, *given: Any) -> None:  # noqa: ANN401 - as the hook has it
        self._call(hook, given)

    return call


for _hook in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(Broadcast, _hook, _calling_all(_hook))

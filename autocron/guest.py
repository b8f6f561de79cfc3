"""Registers jobs and asks for results from outside the application: management commands, shells, scripts.

A guest starts no monitor and keeps none alive, announces no entries and has no thread. Where a monitor runs, it is
told; elsewhere the job is written into the store, for the next start. Either way the job is safe when the call returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from . import messages
from .errors import AutocronError
from .in_caller import InCaller
from .interface import Channel, Interface
from .job import Job
from .registrar import ANSWER_S, Registrar

PAUSE_S: Final = 0.1  # a monitor that ends under a question is looked for again


class Guest(Registrar):
    """A registrar whose caller does all the work."""

    def __init__(
        self,
        interface: Interface,
        address: str,
        *,
        relink: Callable[[], Channel | None],
        on_settings: Callable[[dict[str, Any], bool], None],
    ) -> None:
        self._find = relink
        self._looking = interface.spawner.mutex()
        super().__init__(
            interface,
            address,
            link=None,
            relink=relink,
            background=InCaller(interface, self.step),
            on_settings=on_settings,
        )

    def add(self, job: Job, *, blocking: bool = False) -> None:
        """Hand over a registration; it is safely stored when this returns, StoreError if it cannot be."""
        try:
            super().add(job, blocking=True)
        finally:
            self.trouble = None  # nobody tries again behind our back, so the next call does

    def ask(self, question: str, argument: object = None, *, within_s: float = ANSWER_S) -> Any:
        """The monitor's answer, or the store's where none runs."""
        self._look()
        if self.link is not None:
            return super().ask(question, argument, within_s=within_s)
        store = self.interface.open_store(self.address)
        try:
            if question in (messages.RESULT, messages.STATE):
                assert isinstance(argument, bytes)
                return store.result(argument)
            if question == messages.RESULTS:
                assert isinstance(argument, tuple)
                return store.results(*argument)
        finally:
            store.close()
        raise AutocronError(f"there is no monitor of {self.address}, which alone could answer {question!r}")

    def leave(self, within_s: float) -> None:
        """Nobody waits for a guest to leave."""

    def _find_link(self) -> None:
        self._look()
        if self.link is None and not self.is_idle():
            self._write_directly()
            self._look()  # one that has started meanwhile may have looked before we wrote
            if self.link is not None:
                self.link.send((messages.LOOK,))
        self._retry_at = self.interface.clock.monotonic() + PAUSE_S

    def _look(self) -> None:
        """Have a link, if there is a monitor: one, whichever thread is the first to want it."""
        with self._looking:
            if self.link is not None:
                return
            link = self._find()
            if self.link is None:
                self.link = link
            elif link is not None:
                link.close()  # a signal handler has come in the middle, and has found one
        if self.link is not None:
            self._questions.put_again()

"""Questions to the monitor, until they are answered; over a new link they are asked again."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .interface import Body


class Questions:
    """What a process wants to know. Any thread asks, one sends and hears."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._asked: dict[int, Body] = {}
        self._unsent: deque[Body] = deque()
        self._answers: dict[int, Any] = {}

    def put(self, kind: str, *rest: object) -> int:
        """A question to be sent; its number."""
        number = next(self._numbers)
        body = self._asked[number] = (kind, number, *rest)
        self._unsent.append(body)
        return number

    @contextmanager
    def asking(self, kind: str, *rest: object) -> Iterator[int]:
        """A question that is forgotten at the end, whatever that is."""
        number = self.put(kind, *rest)
        try:
            yield number
        finally:
            self._asked.pop(number, None)
            self._answers.pop(number, None)

    def unsent(self) -> Iterator[Body]:
        """Those that are to be sent now."""
        while self._unsent:
            yield self._unsent.popleft()

    def put_again(self) -> None:
        """The link is a new one."""
        self._unsent.extend(body for body in list(self._asked.values()) if body not in self._unsent)

    def answer(self, number: int, answer: Any) -> None:
        """The monitor has answered."""
        if number in self._asked:  # else nobody waits for it any more
            self._answers[number] = answer

    def are_answered(self) -> bool:
        """Whether nobody waits for an answer."""
        return not self._asked

    def is_answered(self, number: int) -> bool:
        """Whether this question is answered."""
        return number in self._answers

    def answer_to(self, number: int) -> Any:
        """The answer; KeyError if there is none."""
        return self._answers[number]

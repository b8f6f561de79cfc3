"""The matrix as data: which servers are tried, how each is started, and what is particular about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Cell:
    """One way to run one example."""

    example: str  # a directory of examples/
    command: str  # as it is documented
    port: str  # how it is told where to listen
    processes: int = 1  # of the server, when it is ready; multiprocessing's resource tracker is one
    survive: bool = False  # its own children live on when it is killed, so autocron does too
    reloads: bool = False  # it loads changed code by itself
    first: bool = False  # one of each kind: tried without --all-servers

    @property
    def name(self) -> str:
        """The name of the test."""
        return f"{self.example}: {self.documented}"

    @property
    def documented(self) -> str:
        """As one would type it."""
        return self.command.format(port=8000)

    def line(self, port: int) -> str:
        """The command that listens on this port."""
        line = self.command if "{port}" in self.command else f"{self.command} {self.port}"
        return line.format(port=port)


DJANGO = "python manage.py runserver"
GUNICORN = "--bind 127.0.0.1:{port}"
UVICORN = "--port {port}"

CELLS = [
    Cell("script", "python app.py", "{port}", first=True),
    Cell("flask", "flask run", "--port {port}"),
    Cell("flask", "flask run --debug", "--port {port}", processes=2, survive=True, reloads=True, first=True),
    Cell("flask", "python app.py", "", processes=2, survive=True, reloads=True),
    Cell("flask", "gunicorn app:app", GUNICORN, processes=2),
    Cell("flask", "gunicorn --preload app:app", GUNICORN, processes=2),
    Cell("flask", "gunicorn --workers 3 app:app", GUNICORN, processes=4),
    Cell("flask", "gunicorn --workers 3 --preload app:app", GUNICORN, processes=4, first=True),
    Cell("flask", "gunicorn --worker-class gthread --threads 4 app:app", GUNICORN, processes=2),
    Cell("flask", "gunicorn --worker-class gthread --threads 4 --preload app:app", GUNICORN, processes=2),
    Cell("flask", "gunicorn --workers 2 --reload app:app", GUNICORN, processes=3, reloads=True),
    Cell("flask", "waitress-serve --listen 127.0.0.1:{port} app:app", "{port}", first=True),
    Cell("django", "python manage.py runserver", "{port}", processes=2, survive=True, reloads=True, first=True),
    Cell("django", "python manage.py runserver --noreload", "{port}"),
    Cell("django", "gunicorn --workers 3 project.wsgi", GUNICORN, processes=4, first=True),
    Cell("django", "gunicorn --workers 3 --preload project.wsgi", GUNICORN, processes=4),
    Cell("fastapi", "uvicorn app:app", UVICORN),
    Cell("fastapi", "uvicorn app:app --reload", UVICORN, processes=3, survive=True, reloads=True, first=True),
    Cell("fastapi", "uvicorn app:app --workers 2", UVICORN, processes=4, survive=True),
]


def params(cells: Iterable[Cell]) -> list[Any]:
    """Parameters of a test; all but the first of each kind are for --all-servers."""
    more = pytest.mark.all_servers
    return [pytest.param(each, id=each.name, marks=() if each.first else more) for each in cells]

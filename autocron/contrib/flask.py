"""Flask: started with the application, and tasks that run in its context.

    background = Autocron(factory="shop:create_app")    # in shop/background.py, say

    @background.delay
    def remind(user_id: int) -> None:
        current_app.logger.info("...")                  # the application's context is there, in a worker too

    def create_app() -> Flask:
        app = Flask(__name__)
        app.config["AUTOCRON_DATABASE"] = "shop.db"     # and, if you like, AUTOCRON_WORKERS = 2
        background.init_app(app)
        return app

`flask run` and servers start the workers; other commands of `flask` (shell, db upgrade) only register, for the workers
of the server. With TESTING set nothing is started: calls run in the caller.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from .. import decorators
from ..engine import current, start
from ..errors import AutocronError
from ..signature import is_generator, signature_of

if TYPE_CHECKING:
    from flask import Flask

P = ParamSpec("P")
R = TypeVar("R")

SERVER_COMMANDS: Final = ("run",)


class Autocron:
    """The extension."""

    def __init__(self, app: Flask | None = None, *, factory: str = "") -> None:
        """`app`: as `init_app`. `factory`: where a worker finds the application, "module:name" of it or its factory."""
        self._app: Flask | None = None
        self._factory = factory
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Start with this application, on the database AUTOCRON_DATABASE (a file), with AUTOCRON_WORKERS workers.

        AutocronError if AUTOCRON_DATABASE is missing; see `autocron.start` for others.
        """
        self._app = app
        app.extensions["autocron"] = self
        if app.testing:
            return
        database = app.config.get("AUTOCRON_DATABASE")
        if not database:
            raise AutocronError('app.config["AUTOCRON_DATABASE"] is missing: the file of autocron\'s database')
        if _command() in ("", *SERVER_COMMANDS):
            start(database, app.config.get("AUTOCRON_WORKERS"))
        else:
            current().join(database)

    def delay(self, function: Any = None, /, **when: Any) -> Any:
        """`autocron.delay`, with the application's context around the function."""
        if function is None:
            return lambda function: decorators.delay(**when)(self.in_context(function))
        return decorators.delay(**when)(self.in_context(function))

    def cron(self, crontab: Any = None, *args: Any, **when: Any) -> Any:
        """`autocron.cron`, with the application's context around the function."""
        if callable(crontab):
            return decorators.cron(self.in_context(crontab))
        return lambda function: decorators.cron(crontab, *args, **when)(self.in_context(function))

    def in_context(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, run in the application's context."""
        if isinstance(function, decorators.Task) or is_generator(function):
            return function  # it has its context, and a call would only register; or it will be refused
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def call_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self.app().app_context():
                    return await function(*args, **kwargs)

            call_async.__signature__ = signature_of(function)  # type: ignore[attr-defined]  # it passes all on
            return call_async  # type: ignore[return-value]  # a coroutine function, as before

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.app().app_context():
                return function(*args, **kwargs)

        call.__signature__ = signature_of(function)  # type: ignore[attr-defined]  # as above
        return call

    def app(self) -> Flask:
        """The application, made by its factory where nobody has done so yet: in a worker. AutocronError without one."""
        if self._app is None:
            module, _, name = self._factory.partition(":")
            if not name:
                raise AutocronError(
                    "a worker cannot find the Flask application of this task: say where it is or is made,"
                    ' Autocron(factory="module:create_app")'
                )
            found = getattr(import_module(module), name)
            self._app = found if hasattr(found, "app_context") else found()
        return self._app


def _command() -> str:
    """The command of `flask` that is running; empty if none is: then it is a server or a program."""
    if "flask.cli" not in sys.modules:
        return ""
    context = import_module("click").get_current_context(silent=True)
    if context is None or not isinstance(context.find_root().command, import_module("flask.cli").FlaskGroup):
        return ""  # another program may be made with click too
    while context.parent is not None and context.parent.parent is not None:
        context = context.parent  # flask db upgrade: the command is db
    # Without a parent: `flask` loads the application to look for a command there, so it is none of its own.
    return str(context.info_name)

"""Which commands there are, and how an error ends.

Commands raise the errors of the library; here they become a sentence on stderr and an exit code: 2 for what was
written on the command line, 1 for everything else.
"""

from __future__ import annotations

from typing import Any, Final

import click

from .. import __version__
from ..errors import AutocronError
from ..system import real_interface
from .by_hand import pause, purge, resume, retry, run_now
from .cron import cron
from .crons import crons
from .doctor import doctor
from .info import info
from .results import results
from .run import run
from .settings import settings
from .tasks import tasks
from .top import top
from .workers import workers

COMMANDS: Final = (
    info,
    tasks,
    results,
    workers,
    crons,
    top,
    settings,
    retry,
    purge,
    run_now,
    pause,
    resume,
    doctor,
    run,
    cron,
)


class Refused(click.ClickException):
    """What was written on the command line cannot be taken."""

    exit_code = 2


class Root(click.Group):
    """All commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; its errors end as a sentence."""
        try:
            return super().invoke(ctx)
        except AutocronError as error:
            raise (Refused if isinstance(error, ValueError) else click.ClickException)(str(error)) from None
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except OSError as error:
            raise click.ClickException(str(error)) from None


@click.group(name="autocron", cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="autocron")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Look at the databases of autocron, and change their settings.

    DB is a database as in autocron.start(): a relative name lies in ~/.autocron/.

    \b
    Examples:
      autocron info app.db
      autocron settings app.db --workers 4
      autocron cron "30 9 * * mon" --dialect unix
    """
    if ctx.obj is None:
        ctx.obj = real_interface()


for each in COMMANDS:
    each.short_help = (each.help or "").partition("\n\n")[0]  # the whole sentence, where click would cut it
    root.add_command(each)

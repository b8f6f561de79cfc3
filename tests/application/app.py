"""An application as tests want it: its tasks are in a module and in this script, and it does what it is told."""

import logging
import os

from talk import talk
from tasks import *  # noqa: F403 - what it is told speaks of them

import autocron

DATABASE = os.path.join(os.environ["AUTOCRON_TEST"], "app.db")

logging.basicConfig(level=os.environ["AUTOCRON_LOG"])


@autocron.delay
def in_script(number):
    """A task of the main script."""
    return number + 1


if __name__ == "__main__":
    talk(globals())

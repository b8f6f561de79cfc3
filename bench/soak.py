"""Minutes of load from several application processes, with random kills of everything, and an exact account.

    python bench/soak.py                      until 100,000 jobs were accepted and 300 processes killed
    python bench/soak.py --accepted 5000 --kills 30 --seed 7

A job is accepted when its registration has been acknowledged. What counts as done is the effect of the job, a line in a
file, not what the database says; a job may be done more than once after a crash, and must not be lost. Exit code 1 if
one is.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "chaos")]

from harness import Chaos  # noqa: E402
from processes import Application, World  # noqa: E402

BATCH = 250  # registrations that an application hands over before it waits for their acknowledgement
KILLS_PER_S = 2.5


class Soak:
    """One run."""

    def __init__(self, world: World, arguments: argparse.Namespace) -> None:
        self.world = world
        self.chaos = Chaos(world)
        world.configure(blocking=False, max_deaths=1000, workers=arguments.workers, ttl_s=7 * 86400.0)
        self.arguments = arguments
        self.dice = random.Random(arguments.seed)
        self.killed: Counter[str] = Counter()
        self.lives = 0
        self.applications: list[Application] = []

    def run(self) -> int:
        """Load and kills until there were enough of both; the exit code."""
        began = time.monotonic()
        self.applications = [self.start() for _ in range(self.arguments.applications)]
        said = began
        while self.killed.total() < self.arguments.kills or self.accepted() < self.arguments.accepted:
            time.sleep(self.dice.expovariate(KILLS_PER_S))
            if self.killed.total() < self.arguments.kills:
                self.kill()
            if time.monotonic() - said > 10:
                said = time.monotonic()
                print(f"{said - began:5.0f} s  {self.accepted():,} accepted, {self.killed.total()} killed", flush=True)
        for application in self.applications:
            application.do("registering.stop()")
            application.end()
        self.world.await_empty()
        loaded = time.monotonic() - began
        self.chaos.settle()
        account = self.chaos.account()
        print(
            f"seed {self.arguments.seed}: {loaded:.0f} s of load by {self.arguments.applications} applications\n"
            f"killed          {self.killed.total():>9,}  "
            f"({', '.join(f'{number} {role}s' for role, number in sorted(self.killed.items()))})\n"
            f"accepted        {account.accepted:>9,}\n"
            f"done once       {account.once:>9,}\n"
            f"done again      {account.more:>9,}  (after a crash)\n"
            f"lost            {account.lost:>9,}"
        )
        return 1 if account.lost else 0

    def start(self) -> Application:
        """One more life of an application."""
        self.lives += 1
        application = self.chaos.application()
        application.do("autocron.start(load.DATABASE)")
        application.do(f"registering = load.Registering('life-{self.lives}', {BATCH})")
        return application

    def kill(self) -> None:
        """Kill a process at random; sometimes everything at once."""
        if self.dice.random() < 0.02:
            targets = self.world.family()
        else:
            role = self.dice.choice(("monitor", "worker", "worker", "application"))
            targets = [each for each in self.world.family() if (each.role or "application") == role]
            targets = [self.dice.choice(targets)] if targets else []
        for each in targets:
            each.kill()
            self.killed[each.role or "application"] += 1
        for position, application in enumerate(self.applications):
            if not application.identity.is_alive():
                application.wait()
                application.close()
                self.world.applications.remove(application)
                self.applications[position] = self.start()

    def accepted(self) -> int:
        """How many registrations were acknowledged so far."""
        return self.chaos.count("accepted")


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accepted", type=int, default=100_000, help="jobs")
    parser.add_argument("--kills", type=int, default=300, help="processes")
    parser.add_argument("--applications", type=int, default=3, help="at a time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="autocron-soak-") as directory:
        world = World(Path(directory))
        try:
            return Soak(world, arguments).run()
        finally:
            world.end()


if __name__ == "__main__":
    sys.exit(main())

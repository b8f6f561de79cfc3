"""autocron.guest: one link to the monitor, whoever wants it first."""

from __future__ import annotations

from typing import cast

from small import Small, address_of

import autocron
from autocron.engine import Engine
from autocron.guest import Guest
from autocron.interface import Channel
from autocron.testing.channels import MemoryChannel


@autocron.delay
def note(number: int) -> int:
    return number


def test_a_signal_handler_that_asks_while_the_monitor_is_looked_for() -> None:
    """contract 6: what is asked over the one link is not waited for at the other."""
    small = Small().start()
    engine = Engine(small.world.interface())
    engine.join("app.db")
    function = note.__wrapped__
    id = bytes.fromhex(engine.register(function, address_of(function), (1,), {}).uuid)
    guest = engine._registrar
    assert isinstance(guest, Guest)
    assert guest.link is not None
    guest.link.close()
    guest.link = None
    find = guest._find
    links: list[Channel] = []

    def find_and_be_interrupted() -> Channel | None:
        guest._find = find
        assert engine.look_up(id)[0] is not None
        assert guest.link is not None
        links.append(guest.link)
        link = find()
        assert link is not None
        links.append(link)
        return link

    guest._find = find_and_be_interrupted
    assert engine.look_up(id)[0] is not None
    assert guest.link is links[0]
    assert [each for each in links if not cast(MemoryChannel, each).closed] == links[:1]

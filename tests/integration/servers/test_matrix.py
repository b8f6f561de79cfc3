"""Every server of the matrix: a task is ordered on the page and done, and nothing survives a kill -9."""

from __future__ import annotations

import pytest
from cells import CELLS, Cell, params
from processes import World, await_deaths
from server import Site, await_whole


@pytest.mark.parametrize("cell", params(CELLS))
def test_a_server_as_if_autocron_were_not_there(cell: Cell, world: World) -> None:
    """Contract 6: one monitor, the workers, an empty tree after kill -9, and the next start simply works."""
    site = Site(world, cell.example)
    for life in ("first", "second"):
        server = site.serve(cell)
        server.order(life)
        server.await_text(f"report for {life}")
        await_whole(world)
        assert len(server.processes()) == cell.processes
        children = server.children()
        server.kill()
        if cell.survive:
            assert [each for each in children if each.is_alive()]
            await_whole(world)  # because one process of the application still serves
            for each in children:
                each.kill()
        server.await_silence()
        await_deaths(children)
        world.await_empty()
    assert [each.error for each in world.stored() if not each.entry] == ["", ""]

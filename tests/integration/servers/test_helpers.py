"""The helpers for Flask and ASGI, in servers and in their own test clients."""

from __future__ import annotations

import pytest
from cells import GUNICORN, UVICORN, Cell
from processes import World, await_deaths, eventually
from server import WORKERS, Site, await_whole

from autocron.payload import decode

FLASK = {
    "shop/__init__.py": """
from flask import Flask, request

def create_app():
    from .background import background, greet, greet_later
    app = Flask(__name__)
    app.config.update(AUTOCRON_DATABASE="site-example.db", AUTOCRON_WORKERS=2, GREETING="hello")
    background.init_app(app)

    @app.get("/")
    def index():
        import autocron
        return " ".join(str(each.result) for each in autocron.get_results() if each.is_ready())

    @app.post("/")
    def order():
        greet(request.form["name"])
        greet_later(request.form["name"])
        return "", 303

    @app.cli.command()
    def invite():
        from pathlib import Path
        children = [each.read_text() for each in Path("/proc/self/task").glob("*/children")]
        print(greet("invited").uuid, *children)

    return app
""",
    "shop/background.py": """
from flask import current_app
from autocron.contrib.flask import Autocron

background = Autocron(factory="shop:create_app")

@background.delay
def greet(name: str) -> str:
    return f"{current_app.config['GREETING']}, {name}."

@background.delay(minutes=0)
async def greet_later(name: str) -> str:
    return f"later {current_app.config['GREETING']}, {name}."

@background.cron("* * * * *")
def tidy() -> str:
    return current_app.name
""",
}
FLASK_TESTS = """
import pytest
from autocron.registry import registry
from shop import create_app
import autocron
import shop.background

def yields():
    yield

def test_calls_run_in_the_caller(tmp_path, monkeypatch):
    import flask
    original = flask.Flask.__init__
    def with_testing(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.testing = True
    monkeypatch.setattr(flask.Flask, "__init__", with_testing)
    app = create_app()
    with app.app_context():
        assert shop.background.greet("ann").result == "hello, ann."
    assert app.test_client().post("/", data={"name": "bob"}).status_code == 303
    assert shop.background.tidy() == "shop"
    for task in (shop.background.greet, shop.background.greet_later):
        with pytest.raises(TypeError, match="argument"):
            task("ann", "bob")

def test_a_task_is_called_in_another_way(fake_engine):
    background = shop.background.background
    app = create_app()
    soon = background.delay(minutes=1)(shop.background.greet)
    nightly = background.delay(shop.background.tidy)
    assert background.cron("0 4 * * *")(nightly) is nightly
    assert [each.crontab for each in registry.entries.values()] == ["* * * * *", "0 4 * * *"]
    with pytest.raises(autocron.TaskError, match="generator"):
        background.delay(yields)
    soon("ann")
    assert fake_engine.fast_forward("59s").ran(shop.background.greet).times == 0
    assert fake_engine.fast_forward("1s").ran(shop.background.greet).times == 1
"""


@pytest.mark.parametrize(
    "cell",
    [
        Cell("", "flask --app shop run", "--port {port}"),
        Cell("", "flask --app shop run --debug", "--port {port}", processes=2, survive=True),
        Cell("", "gunicorn --workers 2 shop:create_app()", GUNICORN, processes=3),
    ],
    ids=lambda cell: cell.command,
)
def test_tasks_of_flask_run_in_the_context_of_the_application(cell: Cell, world: World) -> None:
    """contrib.flask: an application factory, its configuration in the worker, coroutines and cron entries too."""
    site = Site(world, files=FLASK)
    server = site.serve(cell)
    server.order("ann")
    server.await_text("hello, ann.")
    server.await_text("later hello, ann.")
    await_whole(world)
    assert len(server.processes()) == cell.processes
    children = server.children()
    server.kill()
    for each in children if cell.survive else []:
        each.kill()
    server.await_silence()
    await_deaths(children)
    world.await_empty()


def test_commands_of_flask_only_register(world: World) -> None:
    """contrib.flask: a command beside the server starts nothing; its jobs wait for the server."""
    site = Site(world, files=FLASK)
    uuid = site.command("flask --app shop invite").strip()
    world.await_empty()
    (job,) = world.stored()
    assert (job.id.hex(), job.status) == (uuid, 1)
    server = site.serve(Cell("", "flask --app shop run", "--port {port}"))
    server.await_text("hello, invited.")


def test_a_program_of_its_own_commands_starts(world: World) -> None:
    """contrib.flask: a server that somebody starts from a click command which is not one of flask's."""
    serve = """
import click
from shop import create_app

@click.group()
def cli(): ...

@cli.command()
def serve():
    import threading
    create_app()
    print(*[each.name for each in threading.enumerate()])

cli()
"""
    site = Site(world, files={**FLASK, "serve.py": serve})
    assert "autocron" in site.command("python serve.py serve").split()  # who only registers has no thread
    world.await_empty()


def test_tests_of_a_flask_application(world: World) -> None:
    """contrib.flask: with TESTING nothing is started, and calls run in the caller, in the application's context."""
    site = Site(world, files={**FLASK, "test_shop.py": FLASK_TESTS})
    assert "2 passed" in site.command("python -m pytest -q -p no:cacheprovider test_shop.py")
    world.await_empty()
    assert not world.database.exists()


FASTAPI = """
from contextlib import asynccontextmanager
from fastapi import FastAPI, Form
from fastapi.responses import PlainTextResponse, Response
from typing import Annotated
import autocron
from autocron.contrib.asgi import get_results, is_ready, lifespan

@asynccontextmanager
async def own(app):
    app.state.began = True
    yield {"own": "state"}
    app.state.ended = True

app = FastAPI(lifespan=lifespan("site-example.db", workers=2, around=own))

@autocron.delay
def greet(name: str) -> str:
    __import__("probe").work(name)
    return f"hello, {name}."

@app.get("/", response_class=PlainTextResponse)
async def index():
    assert app.state.began
    return " ".join([str(each.result) for each in await get_results() if await is_ready(each)])

@app.post("/")
async def order(name: Annotated[str, Form()]):
    greet(name)
    return Response(status_code=303)
"""
FASTAPI_CLIENT = """
import time
from fastapi.testclient import TestClient
import autocron
from app import app, greet

assert greet("before").result == "hello, before."
for life in ("first", "second"):
    with TestClient(app) as client:
        assert client.post("/", data={"name": life}, follow_redirects=False).status_code == 303
        while f"hello, {life}." not in client.get("/").text:
            time.sleep(0.01)
    assert app.state.ended
    assert greet("between").result == "hello, between."
print("well")
"""


@pytest.mark.parametrize(
    "cell",
    [
        Cell("", "uvicorn app:app", UVICORN),
        Cell("", "uvicorn app:app --workers 2", UVICORN, processes=4, survive=True),
    ],
    ids=lambda cell: cell.command,
)
def test_the_lifespan(cell: Cell, world: World) -> None:
    """contrib.asgi: started with the application, around its own lifespan."""
    site = Site(world, files={"app.py": FASTAPI})
    server = site.serve(cell)
    server.order("ann")
    server.await_text("hello, ann.")
    await_whole(world)
    assert len(server.processes()) == cell.processes
    server.process.terminate()
    assert server.wait() in (0, -15)
    world.await_empty()


@pytest.mark.parametrize("example", ["fastapi", "helper"])
def test_the_test_client(example: str, world: World) -> None:
    """Contract 6: FastAPI's TestClient runs the lifespan, in a thread of its own, as often as it is entered."""
    if example == "helper":
        site = Site(world, files={"app.py": FASTAPI, "client.py": FASTAPI_CLIENT})
    else:
        site = Site(world, "fastapi")
        client = FASTAPI_CLIENT.replace("greet", "write_report").replace("hello, ", "report for ").replace('."', '"')
        client = client.replace("    assert app.state.ended\n", "").replace(
            '    assert write_report("between").result == "report for between"\n', ""
        )
        (site.directory / "client.py").write_text(client)
    assert site.command("python client.py").endswith("well\n")
    world.await_empty()


def test_a_reload_takes_over_the_running_job(world: World) -> None:
    """contrib.asgi: the lifespan ends without waiting for the running job, and the next process finds it going on."""
    site = Site(world, files={"app.py": FASTAPI})
    world.configure(grace_s=60)
    server = site.serve(Cell("", "uvicorn app:app --reload", UVICORN))
    world.shut("held")
    server.order("held")
    world.hear("begun")
    reloaded = server.serving()
    site.edit('f"hello', 'f"good day')
    await_deaths(reloaded)
    server.await_up()
    server.order("ann")
    server.await_text("good day, ann.")
    world.open("held")
    eventually(lambda: all(each.result for each in world.stored()), server.stderr)
    assert [decode(each.result, allow_pickle=False) for each in world.stored()] == ["hello, held.", "good day, ann."]
    assert not world.notes()
    assert len(world.workers()) in (WORKERS, WORKERS + 1)

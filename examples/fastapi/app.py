"""FastAPI with async routes: a call of a task does not hold up the event loop.

uvicorn app:app --reload                   or: uvicorn app:app --workers 2
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Annotated

from fastapi import FastAPI, Form
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse

import autocron

PAGE = """<!doctype html>
<title>Reports</title>
<form method="post"><input name="name" placeholder="report for"> <button>Order</button></form>
<table>{rows}</table>
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start with the application; it ends with it by itself."""
    await run_in_threadpool(autocron.start, "fastapi-example.db", workers=2)
    yield


app = FastAPI(lifespan=lifespan)


@autocron.delay
async def write_report(name: str) -> str:
    """Run by a worker: as long as it takes. May be async or not."""
    time.sleep(1)
    return f"report for {name}"


@autocron.cron("* * * * *")
def tidy_up() -> str:
    """Run every minute, once, whatever the number of processes."""
    return "tidied up"


@app.get("/", response_class=HTMLResponse)
def index() -> str:
    """What was ordered, and what has come of it. Looking it up may wait, so this is not a coroutine."""
    rows = "".join(f"<tr><td>{each.function_name}<td>{escape(state(each))}" for each in autocron.get_results())
    return PAGE.format(rows=rows)


@app.post("/")
async def order(name: Annotated[str, Form()]) -> RedirectResponse:
    """The call returns at once: it is safe in the event loop."""
    write_report(name)
    return RedirectResponse("/", status_code=303)


def state(result: autocron.Result) -> str:
    """What the page says about a job."""
    if not result.is_ready():
        return "in progress"
    return f"failed: {result.error_message}" if result.has_error else str(result.result)

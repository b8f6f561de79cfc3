"""A plain program: no framework, and nothing but Python and autocron.

    python app.py          then open http://127.0.0.1:8000

Order a report on the page; a worker process writes it while the program goes on.
"""

from __future__ import annotations

import sys
import time
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import autocron

PAGE = """<!doctype html>
<title>Reports</title>
<form method="post"><input name="name" placeholder="report for"> <button>Order</button></form>
<table>{rows}</table>
"""


@autocron.delay
def write_report(name: str) -> str:
    """Run by a worker: as long as it takes."""
    time.sleep(1)
    return f"report for {name}"


@autocron.cron("* * * * *")
def tidy_up() -> str:
    """Run every minute, once, whatever the number of processes."""
    return "tidied up"


def state(result: autocron.Result) -> str:
    """What the page says about a job."""
    if not result.is_ready():
        return "in progress"
    return f"failed: {result.error_message}" if result.has_error else str(result.result)


class Handler(BaseHTTPRequestHandler):
    """One page: a form, and what has come of it."""

    def do_GET(self) -> None:
        rows = "".join(
            f"<tr><td>{each.function_name}<td>{escape(state(each))}" for each in reversed(autocron.get_results())
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(PAGE.format(rows=rows).encode())

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        write_report(form["name"][0])  # returns at once
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()


if __name__ == "__main__":
    autocron.start("script-example.db", workers=2)
    port = int(sys.argv[1]) if sys.argv[1:] else 8000
    print(f"http://127.0.0.1:{port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()

"""Flask: reports are written in the background, and a cron entry tidies up.

flask run --debug                          or: python app.py
gunicorn --workers 3 app:app               or: waitress-serve --port 8000 app:app
"""

from __future__ import annotations

import time

from flask import Flask, redirect, render_template, request
from werkzeug.wrappers import Response

import autocron

app = Flask(__name__)
autocron.start("flask-example.db", workers=2)


@autocron.delay
def write_report(name: str) -> str:
    """Run by a worker: as long as it takes."""
    time.sleep(1)
    return f"report for {name}"


@autocron.cron("* * * * *")
def tidy_up() -> str:
    """Run every minute, once, whatever the number of processes."""
    return "tidied up"


@app.get("/")
def index() -> str:
    """What was ordered, and what has come of it."""
    return render_template("index.html", results=reversed(autocron.get_results()))


@app.post("/")
def order() -> Response:
    """The call returns at once."""
    write_report(request.form["name"])
    return redirect("/")


if __name__ == "__main__":
    app.run(debug=True)

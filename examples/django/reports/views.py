"""A form, and what has come of it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

import autocron

from .models import Report
from .tasks import write_report


def index(request: HttpRequest) -> HttpResponse:
    """All jobs of the last half hour, newest first."""
    return render(request, "index.html", {"results": list(reversed(autocron.get_results()))})


@require_POST
def order(request: HttpRequest) -> HttpResponse:
    """The call returns at once."""
    report = Report.objects.create(name=request.POST["name"])
    write_report(report.pk)
    return redirect("/")

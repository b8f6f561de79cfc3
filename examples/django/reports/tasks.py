"""What is run by workers."""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

import autocron

from .models import Report


@autocron.delay
def write_report(number: int) -> str:
    """Run by a worker: as long as it takes."""
    report = Report.objects.get(pk=number)
    time.sleep(1)
    report.text = f"report for {report.name}"
    report.save()
    return report.text


@autocron.cron("* * * * *")
def tidy_up() -> int:
    """Run every minute, once, whatever the number of processes."""
    deleted, _ = Report.objects.filter(ordered__lt=timezone.now() - timedelta(days=30)).delete()
    return deleted

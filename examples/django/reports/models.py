"""What tasks write."""

from __future__ import annotations

from django.db import models


class Report(models.Model):
    """A report that is ordered, and at some time written."""

    name = models.CharField(max_length=100)
    text = models.TextField(blank=True)
    ordered = models.DateTimeField(auto_now_add=True)

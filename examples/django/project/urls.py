"""One page."""

from __future__ import annotations

from django.urls import path
from reports.views import index, order

urlpatterns = [path("", index), path("order", order)]

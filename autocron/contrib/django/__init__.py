"""Django: an application for INSTALLED_APPS, and from Django 6 on a backend for `django.tasks`. See docs/servers.md."""

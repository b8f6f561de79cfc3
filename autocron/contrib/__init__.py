"""Thin helpers for frameworks. `autocron.start()` at the right place does the same."""

"""Configuration of the project's own tests."""

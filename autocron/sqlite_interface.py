"""The promised import path of `Result`."""

from .result import Result

__all__ = ["Result"]

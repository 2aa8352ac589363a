"""The version of scalefit."""

__version__ = "0.1.0"

"""vtool: the compiler for shipping voice AI."""

__version__ = "0.1.0"

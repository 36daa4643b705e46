"""Checks, one kind of finding each: ``duplicate_file.py`` is the check ``duplicate-file``.

A check is a module with ``def check(graph: Graph, store: Store) -> Iterator[Finding]``; its module
docstring is its documentation (``vtool explain duplicate-file``).
"""

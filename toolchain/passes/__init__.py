"""Rewrites, one file each: ``strip_wasm.py`` is the pass ``strip-wasm``."""

"""Where work runs, and the cache of what was already done."""

"""``vtool profile``: where an application's bytes, time and memory go, and what to do."""

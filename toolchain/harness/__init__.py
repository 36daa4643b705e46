"""Runs a voice pipeline and measures it: scenarios, clocks, memory, quality."""

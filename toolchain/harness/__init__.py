"""Runs the stages on reference audio and measures: latency, start, memory, quality."""

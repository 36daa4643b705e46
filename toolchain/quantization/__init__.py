"""Rate-distortion quantization: the fewest entropy-coded bytes within a task's error limit."""

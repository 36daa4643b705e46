"""A report as text, JSON or HTML: one file per format."""

"""One file format or external tool each: bytes to structure and back. Knows no graph."""

"""Where files come from: directories, archives, npm and PyPI packages, and their lock."""

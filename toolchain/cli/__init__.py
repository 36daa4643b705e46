"""The command line: one file per command; arguments -> library -> text -> exit code."""

"""From files to the graph: one file per kind of artifact."""

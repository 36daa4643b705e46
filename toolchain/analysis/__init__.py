"""Pure functions of a graph: reachability, retained size, chains, compressed sizes."""

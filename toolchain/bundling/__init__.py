"""What bundling takes: which modules become bundles, one stage for all bundlers, the new graph."""

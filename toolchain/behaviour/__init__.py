"""Plays an application's own scenario and tells what was seen: the ground of a proof."""

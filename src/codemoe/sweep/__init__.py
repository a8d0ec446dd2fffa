"""Variants of one recipe side by side: `codemoe sweep`."""

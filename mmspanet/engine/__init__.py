"""Hooks, the optimizer constructor and what a Runner needs of the machine."""

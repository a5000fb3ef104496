"""A finished study to hand on: docs/archive.md."""

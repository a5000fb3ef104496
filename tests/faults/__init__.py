"""Faults done to real runs; `python -m tests.faults` does each many times and prints the table of docs/faults.md."""

"""Exact local attention: one operator, several ways to compute it."""

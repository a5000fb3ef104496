"""Sentences about results, tested at build time: docs/claims.md."""

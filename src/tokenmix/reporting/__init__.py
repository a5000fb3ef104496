"""From metrics to the paper: one registry of values, tables and figures built from it, and the PDF."""

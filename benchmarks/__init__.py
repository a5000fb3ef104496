"""Side-by-side measurements: each module prints ratios against a named peer in the same run."""

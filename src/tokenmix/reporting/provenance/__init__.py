"""From a number to what made it, and back: trace, why, diff, audit; docs/trace.md."""

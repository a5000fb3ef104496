"""From predictions to metrics, intervals and comparisons. Needs no GPU and imports no torch."""

"""The HTML page on which a study's results are browsed."""

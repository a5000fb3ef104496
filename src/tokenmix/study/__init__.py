"""The study: typed config, its runs, their identity, and the frozen plan. Imports no other stage."""

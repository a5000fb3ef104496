"""`python -m tokenmix`: the `tokenmix` command where it is not installed."""

import sys

from tokenmix.cli import main

sys.exit(main())

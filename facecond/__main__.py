"""`python -m facecond` is the `facecond` command."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main())

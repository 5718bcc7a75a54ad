"""`facecond benchmark` for launchers: speed, side by side with peers."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))

"""Where the installed program begins."""

import sys

from rfapp.cli import main

if __name__ == "__main__":
    sys.exit(main())

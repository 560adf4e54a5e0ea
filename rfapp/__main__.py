"""``python -m rfapp`` is the command ``rfapp``."""

from rfapp.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

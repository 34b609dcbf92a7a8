"""`python -m morphable` is the command `morphable`."""

from morphable.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m morphable_detector_head` is the command `morphable-detector`."""

from morphable_detector_head.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m odam_lib.training``."""

from odam_lib.training.command import main

if __name__ == "__main__":
    main()

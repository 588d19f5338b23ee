"""``python -m odam_lib.evaluation``."""

from odam_lib.evaluation.command import main

if __name__ == "__main__":
    main()

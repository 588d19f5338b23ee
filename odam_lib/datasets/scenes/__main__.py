"""``python -m odam_lib.datasets.scenes``."""

from odam_lib.datasets.scenes.dataset import main

if __name__ == "__main__":
    main()

"""``python -m divbench``."""

from divbench.cli import main

if __name__ == "__main__":
    main()

"""`python -m hwloop` is `hwloop`."""

from hwloop.cli.main import main

if __name__ == "__main__":
    main()

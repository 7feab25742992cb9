"""`python -m aecli` is `ae`."""

from aecli.cli.main import main

if __name__ == "__main__":
    main()

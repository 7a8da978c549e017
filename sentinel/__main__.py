"""`python -m sentinel`: the same as the `sentinel` command."""

from sentinel.cli.main import main

if __name__ == "__main__":
    main()

"""`python -m lakon`: the command line, for when its script is not on the path."""

from lakon.cli import main

if __name__ == "__main__":
    main()

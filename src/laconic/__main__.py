"""`python -m laconic`: the command line, for when its script is not on the path."""

from laconic.cli import main

if __name__ == "__main__":
    main()

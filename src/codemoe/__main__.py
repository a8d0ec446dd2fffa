"""`python -m codemoe`, where the command is not on the path."""

from codemoe.cli import main

if __name__ == "__main__":
    main()

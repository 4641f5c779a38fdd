"""`python -m authgw`: the command line, without its script on the path."""

from authgw.cli import main

if __name__ == "__main__":
    main()

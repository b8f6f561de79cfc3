"""`python -m autocron` is the console script `autocron`."""

from .cli import main

if __name__ == "__main__":
    main()

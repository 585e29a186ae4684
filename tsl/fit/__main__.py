"""`python -m tsl.fit`: see `tsl.fit`."""

from tsl.fit import main

if __name__ == "__main__":
    main()

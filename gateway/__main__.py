"""`python -m gateway` is `kyosei`."""

import gc


def main() -> None:
    """Run the command line."""
    gc.disable()  # what importing makes is there to stay, and looking for garbage in it takes a sixth of the start
    from gateway.cli import app

    gc.enable()
    app()


if __name__ == "__main__":
    main()

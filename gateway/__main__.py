"""`python -m gateway` is `kyosei`."""

from gateway.cli import app

app()

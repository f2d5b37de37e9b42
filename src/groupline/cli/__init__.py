"""The command line."""

from groupline.cli.interpreter import loading


def main() -> None:
    with loading():
        from groupline.cli.main import app  # noqa: PLC0415 - slow to import otherwise
    app()

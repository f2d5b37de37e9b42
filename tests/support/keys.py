"""What the processes of a test share: it is here so that a worker need not load the application."""

SECRET_KEY = "a secret key that is only used by tests"

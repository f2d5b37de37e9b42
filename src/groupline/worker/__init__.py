"""The worker: loops that find work, and the supervisor that keeps them running."""

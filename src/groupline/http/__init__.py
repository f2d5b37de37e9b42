"""What the API and the pages share at the edge: who asks, what went wrong, what changed."""

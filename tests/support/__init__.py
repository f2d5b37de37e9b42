"""What tests share: real databases, a clock that stands still, rows, and the cast."""

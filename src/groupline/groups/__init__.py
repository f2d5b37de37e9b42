"""Groups: what a gateway lists, saved with proof, searched, and who can send to them."""

"""A package of our own, so that none that a dependency installs under this name is found first."""

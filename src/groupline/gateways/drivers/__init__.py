"""One module per kind of gateway; `base` owns the HTTP client and its limits."""

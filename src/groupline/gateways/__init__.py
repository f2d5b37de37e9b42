"""Gateways: the port that drivers implement, and the closed vocabularies they answer in."""

"""Finds data that contradicts itself or the gateways, explains it, and repairs what it can."""

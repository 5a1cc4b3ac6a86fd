"""Losses, with torch's reductions: of elements, and over classes."""

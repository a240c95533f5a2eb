"""Prices in cents."""
PRICES = {"tea": 450, "cup": 1200}

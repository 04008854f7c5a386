"""stockfc: monthly stock price forecasts on Dagster, each with its own track record."""

__version__ = "0.1.0"

"""A Yahoo Finance on loopback for the unmodified yfinance library: see `server.LocalYahoo`."""

from stockfc_assets_tests.local_yahoo.faults import FaultPlan
from stockfc_assets_tests.local_yahoo.server import LocalYahoo, Request

__all__ = ["FaultPlan", "LocalYahoo", "Request"]

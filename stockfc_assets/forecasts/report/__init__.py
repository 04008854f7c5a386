"""The report of a session: one HTML page that needs no network, with everything a reader must know to judge it."""

from stockfc_assets.forecasts.report.answers import headlines
from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.horizons import outlooks
from stockfc_assets.forecasts.report.page import render_report

__all__ = ["ReportData", "headlines", "outlooks", "render_report"]

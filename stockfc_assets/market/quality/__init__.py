"""Checks that name the defects of vendor data (findings.DEFECTS); plain Polars functions, nothing is repaired.

`delivered` looks at rows before they are stored, `events` at splits and dividends, `stored` at what was stored, as of
each session, `facts` at a month's company facts. `summary` is what the checks, the pages and `stockfc doctor` show.
"""

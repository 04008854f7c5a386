"""The code location: what workspace.yaml and `dg` point at."""

from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.resources import open_settings

defs = build_definitions(open_settings())

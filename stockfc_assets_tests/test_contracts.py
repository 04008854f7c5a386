"""The data-contract page is what tables.py says."""

from pathlib import Path

from stockfc_assets.contracts import contracts_markdown
from stockfc_assets.tables import TABLES


def test_the_page_in_docs_is_made_from_the_tables():
    page = Path(__file__).parents[1] / "docs" / "data-contracts.md"
    assert page.read_text() == contracts_markdown(), "run: python -m stockfc_assets.contracts > docs/data-contracts.md"


def test_every_column_has_a_description():
    for table in TABLES.values():
        for name, column in table.columns().items():
            assert column.description, f"{table.__name__}.{name}"

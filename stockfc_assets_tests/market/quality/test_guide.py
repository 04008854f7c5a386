"""The operator's guide is what the list of defects says."""

from pathlib import Path

from stockfc_assets.market.findings import DEFECTS
from stockfc_assets.market.quality.guide import guide_markdown


def test_the_page_in_docs_is_made_from_the_list_of_defects():
    page = Path(__file__).parents[3] / "docs" / "data-quality.md"
    assert page.read_text() == guide_markdown(), (
        "run: python -m stockfc_assets.market.quality.guide > docs/data-quality.md"
    )


def test_every_defect_says_what_it_is_what_happens_and_what_to_do():
    for defect in DEFECTS.values():
        for text in (defect.title, defect.meaning, defect.handling, defect.remedy):
            assert len(text) > 5, defect.name
            assert not text.endswith(" ")
        assert all(text.endswith(".") for text in (defect.meaning, defect.handling, defect.remedy)), defect.name

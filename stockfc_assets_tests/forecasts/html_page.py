"""Reading a page as its reader does: elements, visible words, rows of a table."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br"}
NBSP = "\N{NO-BREAK SPACE}"


class Page(HTMLParser):
    """Elements with their attributes, the visible words, and whether every tag was closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def words(source: str) -> str:
    """What a reader sees, cells set apart, any white space as one blank."""
    apart = re.sub(r"(</(?:t[dh]|p|div|dt|dd|small|li|h\d|strong|span)>|<small)", r" \1", source)
    return re.sub(r"\s+", " ", re.sub(r"\s+([,.;:?)])", r"\1", Page(apart).text.replace(NBSP, " ")))


def section(source: str, anchor: str) -> str:
    """The section whose heading is ``anchor``, as HTML."""
    return re.search(rf'<section aria-labelledby="{anchor}">.*?</section>', source, re.DOTALL)[0]


def cells(source: str, first: str) -> list[str]:
    """The words of the cells of the table row whose header begins with ``first``."""
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", source, re.DOTALL):
        found = [words(cell).strip() for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)]
        if found and found[0].startswith(first):
            return found
    raise AssertionError(f"no row {first!r}")

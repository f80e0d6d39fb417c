"""Reading a page in tests: its images and texts, and whether its tags are closed in order."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """A parsed page. `images` holds the attributes of each, `texts` what stands between tags, by the tag around it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict] = []
        self.texts: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), f"an attribute twice in {tag}"
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"{tag} was never opened"
        assert self.open.pop() == tag, f"{tag} is closed before what is inside it"

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self.open[-1], data))
            if self.open[-1] in ("td", "th"):
                self.rows[-1][-1] += data

    def text_of(self, tag: str) -> list[str]:
        """The texts in all elements of that kind."""
        return [text for around, text in self.texts if around == tag]

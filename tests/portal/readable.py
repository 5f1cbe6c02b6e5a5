"""A page as a reader meets it: the text of its main part, line by line, with its controls."""

from html.parser import HTMLParser

BREAKS = {
    "p",
    "h1",
    "h2",
    "h3",
    "li",
    "dt",
    "dd",
    "ul",
    "ol",
    "dl",
    "section",
    "article",
    "form",
    "details",
    "summary",
    "main",
}
BEFORE = {"h1": "# ", "h2": "## ", "h3": "### ", "li": "- ", "dt": "", "dd": "    ", "summary": "> "}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = [""]
        self._is_main = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._is_main |= tag == "main"
        if not self._is_main:
            return
        if tag in BREAKS:
            self.lines.append(BEFORE.get(tag, ""))
        if given.get("role") == "alert":
            self.lines[-1] += "(!) "
        if tag == "input" and given.get("type") != "hidden":
            ticked = "[x]" if "checked" in given else "[ ]"
            self.lines[-1] += ticked if given.get("type") == "checkbox" else "____"
        if tag == "button":
            self.lines.append("[ ")

    def handle_endtag(self, tag: str) -> None:
        if not self._is_main:
            return
        self._is_main = tag != "main"
        if tag == "button":
            self.lines[-1] += " ]"
        if tag in BREAKS:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        if self._is_main:
            self.lines[-1] += data


def readable(page: str) -> str:
    """The text of a page's main part, one line for each that a reader sees."""
    reader = _Reader()
    reader.feed(page)
    told = (" " * (len(line) - len(line.lstrip(" "))) + " ".join(line.split()) for line in reader.lines)
    kept = [line.rstrip() for line in told if line.strip(" ->#")]
    return "\n".join(kept) + "\n"

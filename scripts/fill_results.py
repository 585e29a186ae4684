"""Fill the tables of docs/results.md from docs/results/*.json: `python scripts/fill_results.py`.

The lines `<!-- E3 -->` and `<!-- /E3 -->` mark the table of docs/results/E3.json, which `tsl reproduce` wrote. The text
between the two lines is replaced, so that every number in a table is one that was measured.
"""

import json
import re
from pathlib import Path

from tsl.experiments.results import markdown

DOCS = Path(__file__).parents[1] / "docs"
TABLE = re.compile(r"<!-- (\S+) -->\n.*?<!-- /\1 -->", re.DOTALL)


def filled(page: str, results: Path) -> str:
    """The text of a page with its tables replaced by those of the JSON files in a folder."""

    def table(match: re.Match[str]) -> str:
        name = match[1]
        content = json.loads((results / f"{name}.json").read_text())
        return f"<!-- {name} -->\n\n{markdown(content)}\n\n<!-- /{name} -->"

    return TABLE.sub(table, page)


if __name__ == "__main__":
    page = DOCS / "results.md"
    page.write_text(filled(page.read_text(), DOCS / "results"))

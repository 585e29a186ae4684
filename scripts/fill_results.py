"""Fill the tables of docs/results.md from docs/results/*.json: `python scripts/fill_results.py`.

`<!-- E3 -->` on a line of its own stands before the table of docs/results/E3.json, which `tsl reproduce` wrote, and
`<!-- /E3 -->` after it. What lies between is replaced, so that no number in a table can differ from what was run.
"""

import json
import re
from pathlib import Path

from tsl.experiments.results import markdown

DOCS = Path(__file__).parents[1] / "docs"
TABLE = re.compile(r"<!-- (\S+) -->\n.*?<!-- /\1 -->", re.DOTALL)


def filled(page: str, results: Path) -> str:
    """A page with its tables anew, from the JSON files of a folder."""

    def table(match: re.Match[str]) -> str:
        name = match[1]
        content = json.loads((results / f"{name}.json").read_text())
        return f"<!-- {name} -->\n\n{markdown(content)}\n\n<!-- /{name} -->"

    return TABLE.sub(table, page)


if __name__ == "__main__":
    page = DOCS / "results.md"
    page.write_text(filled(page.read_text(), DOCS / "results"))

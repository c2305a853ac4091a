"""The report's Markdown as text, and the cells of its rows."""

from ahl.benchmark.report import NOTES, run_facts
from ahl.benchmark.tables import make_sections, markdown, sizes_table


def written(summary):
    return markdown(make_sections(summary), sizes_table(summary), run_facts(summary, {}), NOTES)


def row_of(text, name):
    """Cells of the first row of a Markdown table with this name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")[1:]]

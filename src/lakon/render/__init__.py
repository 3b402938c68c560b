"""The report's room: from `ReportData` to one HTML page, a Markdown file, or a few lines for the terminal.

Everything that a model wrote is hostile until it has been escaped, and a finished page asks nothing of the
network.
"""

from lakon.render.markdown import render_markdown, summary_lines
from lakon.render.page import render_page

__all__ = ["render_markdown", "render_page", "summary_lines"]

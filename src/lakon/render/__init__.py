"""The report's room: from `ReportData` to one HTML page, a Markdown file, or a few lines for the terminal.

Everything that a model wrote is hostile until it has been escaped, and a finished page asks nothing of the
network.
"""

from lakon.render.markdown import markdown, summary_lines
from lakon.render.page import html_page

__all__ = ["html_page", "markdown", "summary_lines"]

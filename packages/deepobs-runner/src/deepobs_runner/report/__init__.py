"""The report: a study of results, its tables, its text, and the page they make."""

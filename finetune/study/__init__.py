"""The user study: pages, answers, server, report."""

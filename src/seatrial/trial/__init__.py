"""Runs a plan: every cell in a fresh process, records as they come, a verdict at the end."""

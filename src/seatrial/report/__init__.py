"""Renders records: HTML, terminal tables. Pure functions of a record (and its samples): nothing is measured here."""

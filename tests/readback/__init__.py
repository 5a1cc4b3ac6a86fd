"""Printed formulas, read back and evaluated.

Each reader knows the notation and not the printer: ``latex`` (the reader of LaTeX input, at a page's legend), ``unicode`` and
``matrices``.  ``page`` holds what a page says against the derivation's numbers, within the rounding bound.
"""

"""What rows are written in.

``values``: tensors as values, whose elements are terms;
``build``: the Builder, which collects definitions;
``row``: the decorator that registers a row, and its samples;
``families``: the files of the catalogue.
"""

"""Whole documents.

``document`` says what the notes say, in blocks that are the same for all; ``latex``, ``markdown``, ``html`` and ``unicode``
set them.  ``matrix`` reads index sums as matrix algebra, ``elements`` writes a small shape out; ``captions`` are the words, in
English and Chinese.
"""

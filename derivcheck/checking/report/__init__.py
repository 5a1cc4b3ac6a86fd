"""What a check says.

``row`` is the finding of one gradient, ``report`` all of them; read these first.  ``table`` sets a report for a terminal,
``plot`` draws errors beside their bounds, ``review`` tells them to a review of the code, ``page`` is a test run's HTML page.
"""

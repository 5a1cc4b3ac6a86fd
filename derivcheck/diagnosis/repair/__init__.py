"""From a wrong backward to the line that can be repaired alone, and to the fix.

Read in this order:

- ``subject``: a backward with the means to look into it: its code, its Program, small data;
- ``solve`` and ``spots``: what a definition would have to be, on numbers, and so which lines could be repaired alone;
- ``pieces`` and ``edits``: the user's text, and the edits of it that are tried;
- ``pool``, ``coefficients``, ``comparing``, ``missing`` and ``describing``: what may be missing from a line, found by comparing
  arrays, and in words;
- ``trying`` and ``searching``: an edit is run, on small data and then on others;
- ``repair``: the search; ``proving``, ``fix``: what it gives.
"""

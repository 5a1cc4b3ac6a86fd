"""A derivation for readers: LaTeX, Markdown, HTML, and Unicode for the terminal.

The rooms, in the order in which to read them; each may use those before it:

- ``symbols``: what each name looks like (``weight`` is W), so that two things never look alike;
- ``writing``: terms as mathematics in one of two inks, and the chain rule in steps;
- ``abridged``: the derivation as it is read, with less on the page;
- ``pages``: whole documents, in indices, matrices or element by element;
- ``explained``: one gradient in sentences and as a picture.

``readings`` is what a derivation has of all this.
"""

"""Is this gradient right?  Witnesses, a rounding bound, hostile probes, a report.

- ``report``: what a check says: a row per gradient, and how that is shown;
- ``arithmetic``: a Program on torch tensors, and what rounding may have done to every number of it;
- ``subject``: what is asked: the forward with its tensors, the data that it is made for, others like them;
- ``backward``: the backward under test: run, overheard, as a Program;
- ``verdict``: what it gave against what is derived, and what excuses a difference;
- ``witnesses``: other ways to the same gradient: autograd, finite differences, SymPy's elements;
- ``probing``: data, sizes and ways of running at which a backward that passes elsewhere is wrong;
- ``reproducing``: a failure as a file that needs torch alone.

Each may use those before it.  Read ``subject/subject.py``, ``verdict/judge.py``, then ``check.py``, which puts it together.
``modules.py`` checks the parts of a model, ``second.py`` a double backward, ``gradcheck.py`` has torch's signature.
"""

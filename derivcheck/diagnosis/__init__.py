"""Why a wrong gradient is wrong, in the words of the field.

Read in this order:

- ``case``: a wrong gradient with all that is known of it; ``scene``: a case at some sizes, evaluated;
- ``guess``: a mistake in words, with the gradient that it would give;
- ``zeros``: a family of mistakes; each of the other files is one, with a wrong and a right backward that run (``Example``);
- ``diagnose``: asks the families, and holds a guess against other sizes before it says it.
"""

from derivcheck.diagnosis.case import Case, case
from derivcheck.diagnosis.diagnose import Diagnosis, diagnose

__all__ = ["Case", "Diagnosis", "case", "diagnose"]

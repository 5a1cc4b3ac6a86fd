"""Why a wrong gradient is wrong, in the words of the field.  One file per family of mistakes."""

from derivcheck.diagnosis.case import Case, case
from derivcheck.diagnosis.diagnose import Diagnosis, diagnose

__all__ = ["Case", "Diagnosis", "case", "diagnose"]

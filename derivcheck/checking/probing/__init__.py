"""Data, sizes and ways of running at which a backward that passes elsewhere is wrong.

``situations`` lists the probes, ``probes`` runs them; read these first.  ``lengths`` are sizes that kernels branch on;
``conditions`` choose what flows, ``reach`` makes data for the sides of them that nothing took yet.  ``excluding`` says how to
leave out sizes that a layer never meets.  ``whole`` looks where rounding hides single elements.
"""

"""A file of CUDA C++, before anything of it is worked out.

``syntax`` reads it into a tree, and collects what it defines: functions, structs, names for types, constants, macros;
``conditionals`` says which branch of an ``#if`` counts.  ``types`` are the types of the language, of CUDA and of glm, ``named``
what its constructs are called in messages.
"""

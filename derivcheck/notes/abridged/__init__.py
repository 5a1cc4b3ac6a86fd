"""The derivation as it is read: the same mathematics with less on the page.

``ones`` leaves axes of size one out, ``shifts`` what cancels; ``written_in`` writes values that the code does not name into
their uses, ``named`` names the others; ``letters`` gives each dimension its letter; ``closed`` gives gradients in closed form;
``abridge`` puts them together.
Every change is an identity of the Program; the gradient of what is then shown is derived again, by the same sweep.
"""

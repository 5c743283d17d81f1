"""Who reads what `confsync env` writes: the real programs, and their documented rules where no program can be had.

A reader takes a text and gives name -> value. One made of rules raises `Misread` where the real one would do more than
read: expand, run, or fail.
"""


class Misread(AssertionError):
    """The real reader would expand, run or refuse what is there."""

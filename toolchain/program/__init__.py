"""The JavaScript program as a whole: who declares, uses and exports what, and what may be left out."""

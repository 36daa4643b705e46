"""The JavaScript program as a whole: who declares and uses what, and what may be left out."""

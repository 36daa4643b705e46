"""Proofs, one file each: what must hold between a pass's input and its result.

The proof of an artifact pass is ``prove(before, after, options)`` on bytes; that of a graph pass
is ``prove(before, after, store, options)`` on graphs. ``options`` are those of the pass, a
``Mapping[str, object]``; an artifact pass's have ``neighbours`` beside them where the file needs
others to work: paths by the names that it looks for. Both return a ``Proof``; they raise nothing
about the artifact: a result that cannot be read is a proof that does not hold.
"""

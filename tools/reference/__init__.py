"""The pages of docs/reference, generated from the code of authgw.

A page keeps its hand-written text; the generator only rewrites the parts between the markers
`<!-- generated: NAME -->` and `<!-- end of NAME -->`.
"""

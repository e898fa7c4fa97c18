"""The HTTP routes, one module per resource.

Rules of this package: a route decodes what came, calls one collaborator and encodes what that gives; it decides nothing and touches no file.
Errors of the collaborators become answers in one place (`errors.py`), with the statuses that Octavia's controller understands, as JSON.
"""

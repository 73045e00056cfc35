"""`flask db lint`: what a revision would do to a service that runs, told before it does it.

Promise: every operation of a revision is judged as `upgrade()` performs it; each finding says what
happens, to what, and what to write instead. No server is asked, no database touched.
"""

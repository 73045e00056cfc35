"""`flask db lint`: checks revisions for unsafe operations before they run.

Promise: every operation of a revision is judged as `upgrade()` performs it; each finding says what
happens, to what, and what to write instead. No server is asked, no database touched.
"""

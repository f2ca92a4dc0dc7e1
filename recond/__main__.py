"""`python -m recond`.

Owns nothing: the commands are in `recond.cli`.
May not do more than call them.
"""

from recond.cli import main

main()

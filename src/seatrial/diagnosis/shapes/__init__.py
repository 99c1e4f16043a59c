"""What a difference looks like where no known mistake explains it: in one sentence, with its measured share.

For: the first clue of whoever goes on looking. Not for: naming a mistake, which takes making it (search.py).
"""

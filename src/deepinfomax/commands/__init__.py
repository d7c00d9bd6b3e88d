"""The commands, a file each: a function whose arguments are the words of the command line.

Each looks at its words, imports what it needs, calls one function and prints what that returns; the logic lives there.
`cli` puts them together.
"""

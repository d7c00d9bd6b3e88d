"""The commands, one file each: a function whose arguments are those of the command line.

Each command checks its arguments, imports what it needs, calls one function, which has the logic, and prints its
result. `cli` puts the commands together.
"""

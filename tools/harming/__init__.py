"""What tools/harm.py is made of: commands in forked processes, and four ways to harm them."""

"""What people tell a running system to do. The command line and the page share it.

The caller has connected `common.broker` to the Redis of the store before.
"""

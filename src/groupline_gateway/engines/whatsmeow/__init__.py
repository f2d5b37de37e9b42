"""Real WhatsApp, through the library whatsmeow that the package neonize carries.

Every session has a worker process of its own: many clients in one process can abort it, and a
client that waits for an answer cannot be interrupted. Workers are the only ones that import
neonize, and this package imports nothing by itself, so that they stay small.
"""

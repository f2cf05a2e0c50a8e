"""Local stand-ins that speak the real protocols: AWS, Kafka, DNS, and the domains on the other side of a message.

Nothing here imports the product's own code: a mistake in a contract cannot agree with itself.
"""

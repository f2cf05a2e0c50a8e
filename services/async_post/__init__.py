"""Async Post: queue to sign, signer, queue to send, sender; retries by delay topics; dead letters. Protocol §5."""

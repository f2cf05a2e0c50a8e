"""The gateway: asks for verifications over HTTP, and tells outcomes by webhooks, for systems without Kafka."""

"""The Inbox: the Distributer (HTTP front door) and the Endpoint (opener, router). Protocol §3, §4."""

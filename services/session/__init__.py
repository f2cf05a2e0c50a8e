"""The session service: opens the pop-up, creates liveness sessions, serves the scan page. Protocol §6."""

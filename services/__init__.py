"""The four services; each is a process of its own, started by ``facescan run NAME``."""

"""The ``facescan`` command: each command is a file, named like it; what commands share has files of its own."""

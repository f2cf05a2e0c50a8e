"""The playground: a page on which one verification after the other is asked for, gone through and looked at.

It belongs to the workbench. It stands where a bank, a wallet and somebody who reads the topics would; the services do
not know it, but for the one origin that may frame the scan page (``FACESCAN_DEVELOPMENT_FRAMED_BY``).
"""

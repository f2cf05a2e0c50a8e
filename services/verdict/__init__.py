"""The verdict service: fetches the result, keeps the evidence, compares, decides, announces. Protocol §6."""

"""Other people's prediction files: read whatever their columns are called, re-scored, and told in
words what is wrong with them."""

from codemoe.evaluate.audit.command import AuditRequest, audit_files

__all__ = ["AuditRequest", "audit_files"]

"""Notices to other systems: webhooks of an organisation, and what was delivered to them."""

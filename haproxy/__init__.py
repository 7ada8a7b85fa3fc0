"""Pools of nodes behind HAProxy: `skerry-haproxy` makes HAProxy at a site do what the policy asks for."""

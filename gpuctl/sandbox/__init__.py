"""Embedded clouds on loopback, for trying and testing. Nothing here is used with a real cloud."""

"""Typed starters of the real programs of a mesh, all on 127.0.0.1: what the demo and the tests are made of."""

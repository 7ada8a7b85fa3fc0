"""A published policy as the protobuf message that nodes verify."""

from __future__ import annotations

from control.policies.revisions import Bundle
from mesh.v1 import common_pb2


def bundle_message(bundle: Bundle) -> common_pb2.PolicyBundle:
    """A published policy on the wire."""
    return common_pb2.PolicyBundle(
        site=bundle.site,
        version=common_pb2.PolicyVersion(generation=bundle.generation, version=bundle.version),
        document=bundle.document,
        sha256=bundle.sha256,
        signature=bundle.signature,
        offer=bundle.offer,
    )

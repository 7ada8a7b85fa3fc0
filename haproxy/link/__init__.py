"""The manager's link to the control plane, as the node on whose box it runs: one identity, kept fresh by the node."""

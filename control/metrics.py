"""Every metric of the control plane. Labels are bounded by the program: never a UID, a person or a free text."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Counter("skerry_control_http_requests_total", "HTTP requests answered.", ["method", "status"])
REQUEST_SECONDS = Histogram("skerry_control_http_request_seconds", "Time to answer an HTTP request.")
CALLS = Counter("skerry_control_rpc_calls_total", "Calls of nodes answered.", ["call", "outcome"])
ENROLMENTS = Counter("skerry_control_enrolments_total", "Enrolments by outcome.", ["outcome"])
LOGINS = Counter("skerry_control_logins_total", "Logins by outcome.", ["outcome"])
DEAD_TASKS = Counter("skerry_control_dead_tasks_total", "Background tasks that ended with an error.", ["task"])

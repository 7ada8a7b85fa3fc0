"""The one filter language of the API, the command line and the pages. Pure: text to terms and back, no database."""

from __future__ import annotations

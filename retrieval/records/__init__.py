"""The records on the wire and how they are read: requests, T2I APIs, models, AIRs, lenient JSON."""

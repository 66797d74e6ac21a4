"""The machinery of a station: messages, links, stages, the graph and the supervisor."""

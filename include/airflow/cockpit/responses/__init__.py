"""Responses: caching, paging, ETags and problems of the API, and the freshness stamp of each figure."""

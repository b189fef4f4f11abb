"""The routes of the API, a module an area: each reads rows and makes them into models."""

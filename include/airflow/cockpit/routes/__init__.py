"""The routes of the API, one module per area. Each route reads rows and turns them into models."""

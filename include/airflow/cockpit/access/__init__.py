"""Access: who may see and do what, and which texts are hidden from viewers."""

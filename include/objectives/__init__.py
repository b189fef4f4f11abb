"""Define the service level objectives, measure them every minute, and record misses and attainment by month."""

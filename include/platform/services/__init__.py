"""Services: PostgreSQL, Spark and Airflow, as the platform sets them up and talks to them. May import ``instance``."""

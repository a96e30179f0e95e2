"""What leaves the pipeline: ClickHouse tables and, later, webhooks and reports."""

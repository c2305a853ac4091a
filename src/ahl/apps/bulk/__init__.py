"""Bulk scoring of collections too large for one machine, shard by shard, into Parquet."""

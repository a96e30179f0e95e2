"""The ClickHouse sink: topics in, tables out, each row once; embedded (chDB) or a server, by one setting."""

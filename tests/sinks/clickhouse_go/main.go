// Asks the HTTP interface as Grafana does: with clickhouse-go over HTTP. Prints what it was told.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

func main() {
	conn, err := clickhouse.Open(&clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{os.Args[1]}, Auth: clickhouse.Auth{Database: "carbon", Username: os.Args[2], Password: os.Args[3]}})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	var count uint64
	var last time.Time
	if err := conn.QueryRow(ctx, "SELECT count(), max(at) FROM readings").Scan(&count, &last); err != nil {
		panic(err)
	}
	var point, code string
	if err := conn.QueryRow(ctx, "SELECT point, code FROM readings WHERE `index` = {index:UInt32}", clickhouse.Named("index", "1")).Scan(&point, &code); err != nil {
		panic(err)
	}
	err = conn.Exec(ctx, "DROP TABLE readings")
	fmt.Println(count, last.UTC().Format(time.RFC3339), point, len(code), err != nil)
}

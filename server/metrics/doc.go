// Package metrics counts what requests and pools do, for /metrics and the dashboard.
//
// Whoever answers requests records here, and a nil [Metrics] records nothing. What the pools know by themselves is read when somebody
// asks, through a [Source].
//
// Read it in this order: metrics.go (all series), requests.go (those of requests, found once per pool), latency.go (percentiles),
// pools.go (what pools tell), opcache.go (what only PHP can tell).
package metrics

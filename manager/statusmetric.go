package manager

// metricPrefix begins the names of php-fpm's metrics.
const metricPrefix = "phpfpm_"

// StatusMetric is one of php-fpm's metrics (sapi/fpm/fpm/fpm_status.c, the form openmetrics).
type StatusMetric struct {
	Name, Help string
	// Counter says that php-fpm calls it a counter, and not a gauge.
	Counter bool
	Value   float64
}

// Metrics are the values that php-fpm's status page has in the form openmetrics, but for phpfpm_up.
func (s *Status) Metrics() []StatusMetric {
	var all []StatusMetric
	for _, f := range statusFields(s) {
		if n, ok := f.value.(int64); ok && f.metric != "" {
			all = append(all, StatusMetric{Name: metricPrefix + f.metric, Help: f.help, Counter: f.kind == "counter", Value: float64(n)})
		}
	}
	return all
}

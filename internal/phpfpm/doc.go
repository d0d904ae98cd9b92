// Package phpfpm runs a real php-fpm, for the tests that compare phpserve with it.
package phpfpm

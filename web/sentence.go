package web

import "net/http"

// sentence tells a visitor, who knows nothing of HTTP, what a status means for
// them (RFC 9110 section 15).
func sentence(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "The server could not understand this request."
	case http.StatusUnauthorized:
		return "Please sign in to see this page."
	case http.StatusForbidden:
		return "This page is not open to you."
	case http.StatusNotFound, http.StatusGone:
		return "There is no page at this address."
	case http.StatusMethodNotAllowed:
		return "This page cannot be used in that way."
	case http.StatusRequestTimeout:
		return "The request took too long to arrive. Please try again."
	case http.StatusRequestEntityTooLarge:
		return "What you sent is larger than this site accepts."
	case http.StatusRequestURITooLong:
		return "This address is too long."
	case http.StatusTooManyRequests:
		return "Too many requests. Please wait a little and try again."
	case http.StatusRequestHeaderFieldsTooLarge:
		return "The request has too many or too large headers. Deleting this site's cookies may help."
	case http.StatusBadGateway:
		return "This page could not be made just now. Please try again."
	case http.StatusServiceUnavailable:
		return "The site is busy or under maintenance. Please try again in a moment."
	case http.StatusGatewayTimeout:
		return "This page took too long to make. Please try again later."
	}
	if status >= 500 {
		return "The site made a mistake. Please try again later."
	}
	return "This request cannot be answered."
}

// Package spool holds request bodies and responses on their way: in memory first, then in files without a name, within budgets that all
// of them share and of which one client has a part.
//
// It knows nothing of PHP and of sites. A body is received whole before anybody asks for a worker; a response is taken as fast as PHP
// writes it, and where there is no room PHP waits.
//
// Read it in this order: spools.go (what they may take together), budget.go, body.go and bodyfile.go (receiving), response.go.
package spool

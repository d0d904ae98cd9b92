// Package peer tells who a request is from: who is at the other end of the connection, whom a trusted proxy names, whether it is somebody
// at this machine, and what stands for a client where clients share something.
//
// It sees heads of requests and nothing else.
//
// Read it in this order: peer.go, proxies.go and forwarded.go (the client behind proxies), passedon.go, key.go.
package peer

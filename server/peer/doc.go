// Package peer tells who a request is from: who is at the other end of the connection, whom a trusted proxy names, whether it is somebody
// at this machine, and what stands for a client where clients share something.
//
// It sees heads of requests, and the kernel's table of connections, to learn whose process has the other end.
//
// Read it in this order: peer.go, proxies.go and forwarded.go (the client behind proxies), passedon.go and process.go (who sits at
// this machine), key.go.
package peer

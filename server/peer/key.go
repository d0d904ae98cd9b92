package peer

import "net/netip"

// Key is what stands for a client where one must not take what is there for all: its address, of IPv6 the network of 64 bits,
// within which anybody chooses addresses at will (RFC 4291 §2.5.1). The zero address means that many may be behind this one: it is
// the machine itself, or a proxy that does not say for whom it asks.
func Key(client netip.Addr, trusted Proxies) netip.Addr {
	client = client.Unmap().WithZone("")
	if !client.IsValid() || client.IsLoopback() || trusted.Contains(client) {
		return netip.Addr{}
	}
	if client.Is6() {
		return netip.PrefixFrom(client, 64).Masked().Addr()
	}
	return client
}

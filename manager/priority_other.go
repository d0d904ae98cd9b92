//go:build !linux

package manager

func ownPriority() int { return 0 }

// setPriority does nothing: the front end has no priority of its own here.
func setPriority(int) {}

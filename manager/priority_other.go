//go:build !linux

package manager

func ownPriority() int { return 0 }

// ResetThread does nothing: the front end has no priority of its own here.
func ResetThread(int) {}

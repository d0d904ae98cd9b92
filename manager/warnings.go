package manager

// Messages of log records about what an operator should know of a pool that can run; the attribute "why" has the rest.
const (
	// MessageNoEffect is about what an operator wants and cannot have.
	MessageNoEffect = "a setting has no effect"
	// MessageDiffers is about what scripts find otherwise than with php-fpm.
	MessageDiffers = "scripts find something otherwise than with php-fpm"
	// MessageChroot is about what PHP needs and does not find in a chroot.
	MessageChroot = "something is missing in the chroot"
)

// Warning is something that an operator should know of a pool that can run.
type Warning struct {
	Message string // MessageNoEffect, MessageDiffers or MessageChroot
	Why     string // a sentence
}

// Warnings tells what is odd about a pool with an engine of its own, which [PoolConfig.Check] has returned for php.
func (c *PoolConfig) Warnings(php *PHP, engine string) (all []Warning, err error) {
	owner, err := findCredential(c)
	if err != nil {
		return nil, err
	}
	add := func(message string, texts ...string) {
		for _, text := range texts {
			if text != "" {
				all = append(all, Warning{message, text})
			}
		}
	}
	late, warning := c.lateDrop(engine, php, owner)
	add(MessageNoEffect, warning)
	add(MessageNoEffect, c.unknownSettings(php)...)
	add(MessageChroot, c.zonesWarning(php))
	if late {
		add(MessageNoEffect, c.lateDropWarnings(php)...)
	}
	withheld := *c
	if late {
		withheld.withhold(php)
	}
	add(MessageDiffers, php.lackingWarning(&withheld), withheld.observerWarning(php))
	return all, nil
}

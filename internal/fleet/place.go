package fleet

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// variable tells a process its place, as "SLOT/PROCESSES". It is no setting: a fleet
// sets it for its own processes.
const variable = "ONSALE_FLEET_SLOT"

// What a process of a fleet has inherited, by the descriptor's number.
const (
	portFile = 3 + iota
	readyFile
	ownFile // only if the fleet has ports of each
)

// Place is where a process stands in a fleet.
type Place struct {
	Slot      int          // from 0 on
	Processes int          // of the fleet
	Listener  net.Listener // the slot's socket of the shared port
	Own       net.Listener // a port that is this slot's alone; nil if the fleet has none

	ready *os.File // nil once it was told
}

// Join returns this process's place; nil if no fleet started it. It may be called once.
func Join() (*Place, error) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return nil, nil
	}
	p := &Place{}
	var own bool
	if _, err := fmt.Sscanf(text, "%d/%d/%t", &p.Slot, &p.Processes, &own); err != nil {
		return nil, fmt.Errorf("%s=%q is set by a fleet for its own processes, not by hand: %w", variable, text, err)
	}
	if err := os.Unsetenv(variable); err != nil {
		return nil, fmt.Errorf("forget the place in the fleet: %w", err)
	}
	var err error
	if p.Listener, err = inherit(portFile); err != nil {
		return nil, err
	}
	if own {
		if p.Own, err = inherit(ownFile); err != nil {
			return nil, err
		}
	}
	p.ready = os.NewFile(readyFile, "ready")
	return p, nil
}

// inherit returns the listener that a descriptor is.
func inherit(fd uintptr) (net.Listener, error) {
	f := os.NewFile(fd, "listener")
	l, err := net.FileListener(f) // duplicates it
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("take over the fleet's socket: %w", err)
	}
	return l, nil
}

// Ready tells the fleet that this process serves: the one that it replaces, if any, is
// stopped now.
func (p *Place) Ready() error {
	if p.ready == nil {
		return nil
	}
	_, err := p.ready.Write([]byte{1})
	err = errors.Join(err, p.ready.Close())
	p.ready = nil
	if err != nil {
		return fmt.Errorf("tell the fleet that this process serves: %w", err)
	}
	return nil
}

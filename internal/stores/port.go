package stores

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

const (
	loopback = "127.0.0.1"
	// portAttempts is how often a free port is chosen: between the choice and
	// the server's start another process may take it.
	portAttempts = 5
)

// freePort returns a loopback port that nobody listened on a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return port, nil
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// onPort calls start with the wanted port; if that is 0 with free ones, until one
// is still free when start comes to it. It returns the port to use from now on.
func onPort(wanted int, start func(port int) error) (int, error) {
	if wanted != 0 {
		err := start(wanted)
		if errors.Is(err, errPortInUse) {
			err = fmt.Errorf("port %d: %w", wanted, err)
		}
		return wanted, err
	}
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return wanted, err
		}
		err = start(port)
		if err == nil {
			return port, nil
		}
		if !errors.Is(err, errPortInUse) || attempt == portAttempts {
			return wanted, err
		}
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"onsale/internal/fleet"
)

// mostProcesses is how many processes may share a port: more than any machine has
// processors, and enough for a million feeds at 20,000 open files.
const mostProcesses = 64

// lingering is how long a process that is replaced waits for the next request of
// connections that are kept alive. Whoever buys asks more often.
const lingering = 3 * time.Second

// checkProcesses refuses a number of processes that can't be, or whose shares would be
// nothing.
func (s *settings) checkProcesses(c *cli.Command) error {
	if takes(c, "max-feed-rate") && s.maxFeedRate < 1 {
		return wrong("--max-feed-rate must be 1 or more")
	}
	if takes(c, "max-feed-effort") && (s.maxFeedEffort < 1 || s.maxFeedEffort > 100) {
		return wrong("--max-feed-effort must be from 1 to 100")
	}
	if !takes(c, "procs") {
		return nil
	}
	if s.procs < 1 || s.procs > mostProcesses {
		return wrong("--procs must be from 1 to %d", mostProcesses)
	}
	if s.metricsListen != "" && s.procs == 1 {
		return wrong("--metrics-listen is for --procs of 2 or more: one process answers /metrics at --listen")
	}
	if s.maxFeedsPerIP > 0 && s.maxFeedsPerIP < s.procs {
		return wrong("--max-feeds-per-ip must be 0 (no limit), or --procs (%d) or more: each process lets in its share", s.procs)
	}
	return nil
}

// runFleet runs the same command line in several processes behind one port, until ctx
// ends. On SIGHUP each is replaced, one by one, by what the command's file is then.
func (s *settings) runFleet(ctx context.Context, role string) (err error) {
	log, err := s.log()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program to run: %w", err)
	}
	port, err := fleet.Listen(ctx, s.listen, s.procs)
	if err != nil {
		return cantStart(fmt.Errorf("can't listen on %s: give another address with --listen: %w", s.listen, err))
	}
	defer func() { err = errors.Join(err, port.Close()) }()
	var own *fleet.Port
	if s.metricsListen != "" {
		if own, err = fleet.ListenEach(ctx, s.metricsListen, s.procs); err != nil {
			return cantStart(fmt.Errorf("can't listen on %s and the %d ports after it: give another address with --metrics-listen: %w", s.metricsListen, s.procs-1, err))
		}
		defer func() { err = errors.Join(err, own.Close()) }()
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	return fleet.Run(ctx, fleet.Config{
		Processes: s.procs, Port: port, Own: own, Roll: hangups, Log: log,
		Command: func(int) *exec.Cmd {
			cmd := exec.Command(program, os.Args[1:]...)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr // their logs say which process it is
			return cmd
		},
	}, func() {
		log.Info("serving", "role", role, "url", port.URL(0), "processes", s.procs, "version", version)
	})
}

// join makes the settings those of this process's place in its fleet: the limits become
// its share of them, and so do the processors. Without a fleet it does nothing.
//
// A process that thinks it has them all wakes several threads for what one does. One more than its
// share is for its clients, who are told sooner by two that write.
func (s *settings) join() (err error) {
	all := runtime.GOMAXPROCS(0)
	s.processors = float64(all)
	s.place, err = fleet.Join()
	if s.place != nil {
		s.processors /= float64(s.place.Processes)
		runtime.GOMAXPROCS(min(all, int(math.Ceil(s.processors))+1))
	}
	return err
}

// share is this process's part of a limit that is meant for all processes together,
// rounded up for what is only a matter of room.
func (s *settings) share(limit int) int {
	return (limit + s.processes() - 1) / s.processes()
}

// processes is how many processes share this one's limits.
func (s *settings) processes() int {
	if s.place == nil {
		return 1
	}
	return s.place.Processes
}

// listener is the socket that this process has of its fleet; nil without one.
func (s *settings) listener() net.Listener {
	if s.place == nil {
		return nil
	}
	return s.place.Listener
}

// linger is how long this process answers on what is open when it is to end, so that
// clients come to its successor; 0 without a fleet, which has none.
func (s *settings) linger() time.Duration {
	if s.place == nil {
		return 0
	}
	return lingering
}

// serving says that the node serves: to the log, or to its fleet, which says it when all do.
func (n *node) serving(role string) error {
	if n.place == nil {
		n.log.Info("serving", "role", role, "url", n.server.URL(), "version", version)
		return nil
	}
	n.log.Info("this process serves", "role", role, "version", version)
	return n.place.Ready()
}

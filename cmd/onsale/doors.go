package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"syscall"
)

const (
	// reservedFiles is how many files a process keeps for what isn't a client's
	// connection: stores, Kafka's files and clients, logs.
	reservedFiles = 512
	// mostOthers is how many connections besides feeds are ever of use.
	mostOthers = 100_000
)

// doors is how many connections a process lets in. Feeds and all others have room
// of their own: those who look can't shut out those who buy.
type doors struct{ feeds, others int }

// othersPart is the part of a process's connections that feeds leave to all others: a
// quarter where buyers come too; where nobody buys, what is on its way to become a feed.
func othersPart(r roles) uint64 {
	if r.front {
		return 4
	}
	return 32
}

// doorsFor shares the files that a process may open among its connections. Feeds
// are fewer than wanted if they would leave too little to others.
func doorsFor(files uint64, wantedFeeds int, r roles) doors {
	free := files - min(reservedFiles, files/2)
	feeds := min(uint64(wantedFeeds), free-free/othersPart(r))
	return doors{feeds: int(feeds), others: int(min(free-feeds, mostOthers))}
}

// processesFor is how many processes it takes to let in that many feeds. The kernel
// shares connections out by chance: each process has room for five standard deviations
// more than its share, so that hardly anyone is sent away while there is room elsewhere.
func processesFor(files uint64, feeds int, r roles) int {
	room := doorsFor(files, feeds, r).feeds
	for n := 1; n < mostProcesses; n++ {
		share := float64(feeds) / float64(n)
		if n > 1 {
			share += 5 * math.Sqrt(share)
		}
		if share <= float64(room) {
			return n
		}
	}
	return mostProcesses
}

// openFiles is how many files this process may have open. Go has raised the soft
// limit to the hard one.
func openFiles() (uint64, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit on open files: %w", err)
	}
	return limit.Cur, nil
}

// canListen returns an error, of one line, if an address can't be listened on. It
// is asked before anything starts, since what has started must stop again, and
// talks about it.
func canListen(ctx context.Context, address string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("can't listen on %s: give another address with --listen: %w", address, err)
	}
	return l.Close()
}

//go:build !linux

package bench

import "context"

// loop is made of epoll, which only Linux has: elsewhere a rush is one process.
type loop struct{}

func newLoop([]string, string, string, string, int, func(error)) (*loop, error) {
	return nil, wrong("workers: a storm of several processes needs Linux; ask for fewer users and leave --workers away")
}

func (*loop) follow(*watch) {}

func (*loop) close(context.Context) error { return nil }

// Package epoll waits for very many sockets in one goroutine, through Go's own poller. There is one on Linux only.
package epoll

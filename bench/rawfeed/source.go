package rawfeed

import "fmt"

// portsEach is how many connections are made from one address. Linux gives a connection to one target a
// port of one parity while there is one, 14,116 by default; after that it tries all of those in vain
// each time, which was seen to take 1.2 ms instead of 0.03.
const portsEach = 10_000

// Source is the loopback address that a process's connections come from, and those after it: see Dial.
// Processes are counted from 0, at most 250 of them.
func Source(process int) string { return fmt.Sprintf("127.0.%d.1", 1+process) }

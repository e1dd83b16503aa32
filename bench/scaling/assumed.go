package scaling

import (
	"time"

	"onsale"
)

// What the model assumes, and nobody has measured. Whoever knows their sale better changes
// it here and generates the tables anew.
const (
	// usable is the part of a core, or of a network, that is planned with. The rest is for what comes
	// unevenly, and for the tail of the answers.
	usable = 0.6
	// places are the admissions of one order.
	places = 2
	// asks are how often someone who gets nothing asks for a hold.
	asks = 3
	// pays is the part of the holds that is paid for.
	pays = 0.9
	// looksAtOrder is how often a buyer reads an order before and after its end.
	looksAtOrder = 3

	// answerWithin is how soon the last of a crowd that comes at once must have an answer.
	answerWithin = 10 * time.Second
	// soldOutWithin is how soon all that there is must be held, if there are buyers enough.
	soldOutWithin = 3 * time.Second
	// payOver is the time over which those who hold fill in their cards.
	payOver = 30 * time.Second
	// openOver is the time over which browsers open their feeds and sign in, before the doors open.
	openOver = 60 * time.Second

	// mirrorLag is for how long fronts go on asking Redis for what was just sold out (holds/soldout.go).
	mirrorLag = 200 * time.Millisecond
	// heartbeat is how often a feed's client is pinged.
	heartbeat = onsale.DefaultHeartbeat
	// framesPerSecond is how many deltas a second a browser gets while everything moves: conflation gives each
	// at most 20, and pacing fewer where there are many browsers (realtime/pace.go).
	framesPerSecond = 4
	// stripesPerShard is how many stripes of one event a shard gets: the masters' shares then differ by
	// little, wherever hashing puts each.
	stripesPerShard = 4
	// mostStripes is over how many slots an event can be spread.
	mostStripes = onsale.MaxStripes
	// mostFollowing is the part of a core that following an event takes at the most: a mirror that can't keep up reads
	// the whole stock instead of the changes that it has missed (inboxSize in holds/mirror.go).
	mostFollowing = 0.3
	// followers is how many processes one Redis tells of each call; more of them follow replicas (--redis-read).
	followers = 32

	// openFiles is what one process may open: systemd's hard limit, and less than most containers'.
	openFiles = 524_288
	// feedsPerProcess is where a process is full, whatever it may open: it has one core for its fan-out.
	feedsPerProcess = 60_000
	// headers are the bytes that a browser sends with a request besides what the bench sends.
	headers = 600
	// packet is what TCP, IP and Ethernet add to a short message and its acknowledgement, in bytes.
	packet = 150
	// copies is how many brokers have each record.
	copies = 3
	// leastPartitions is kafka.DefaultPartitions.
	leastPartitions = 6
	// poolSize is how many connections to Postgres a process may have.
	poolSize = 25

	// A machine, as one is rented.
	machineCores  = 16
	machineMemory = 64e9 // bytes
	machineWire   = 10e9 // bits a second
)

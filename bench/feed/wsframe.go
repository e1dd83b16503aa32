package feed

import "onsale/bench/wsframe"

const maxFrameBytes = wsframe.MaxFrameBytes

// A crowd's clients speak as all clients of the bench do that are a few words of memory.
var (
	cutFrame    = wsframe.Cut
	serverFrame = wsframe.Server
	clientFrame = wsframe.Client
	errFrame    = wsframe.ErrFrame

	pong, goodbye, resume = wsframe.Pong, wsframe.Goodbye, wsframe.Resume
)

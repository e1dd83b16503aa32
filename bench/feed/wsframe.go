package feed

import (
	"encoding/json"
	"fmt"

	"github.com/gorilla/websocket"

	"onsale"
	"onsale/bench/wsframe"
)

const maxFrameBytes = wsframe.MaxFrameBytes

// A crowd's clients speak as all clients of the bench do that are a few words of memory.
var (
	cutFrame    = wsframe.Cut
	serverFrame = wsframe.Server
	clientFrame = wsframe.Client
	errFrame    = wsframe.ErrFrame
)

// ping is what a floor says beside updates, ready to be written.
var ping = serverFrame(websocket.PingMessage, nil)

// What a client says, ready to be written.
var (
	pong, goodbye = wsframe.Pong, wsframe.Goodbye
	again         = requestFrame(onsale.FeedRequest{Type: onsale.FrameResume}) // from nowhere: it is answered with a snapshot
)

// requestFrame is a client's request as it is sent.
func requestFrame(r onsale.FeedRequest) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("encode a request: %v", err)) // all of its fields can be encoded
	}
	return clientFrame(websocket.TextMessage, text)
}

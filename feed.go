package onsale

// FeedProtocol is the WebSocket subprotocol of an event's feed. Every frame is a
// text frame, one JSON object with a "type": FeedHello once, then a FeedSnapshot,
// then FeedDeltas and FeedSales; FeedOrder, FeedHold and FeedQueue to the buyer they
// concern alone; FeedBye last. engine/asyncapi.yaml has them field by field. The
// client may send a FeedRequest: "auth", to be told of what is its own; "hold", to be
// told how a hold of its own ends; "resume" when it finds a gap.
//
// A client keeps the stock at one (epoch, seq), and its rules are these.
//
//  1. A snapshot replaces the stock whole.
//  2. A delta or a sale of the stock's epoch whose From is the stock's seq moves it to
//     Seq. A delta gives what changed, as it is at Seq; a sale says that all else is as it was.
//  3. Any other one of that epoch whose Seq it has already is ignored.
//  4. Anything else is a gap. It sends a resume, once, with its epoch and seq, and passes
//     over what doesn't fit until something does: a delta from there, or a snapshot.
//  5. A frame that fits and can't be applied is a gap too; the resume then names no seq, and is
//     answered by a snapshot.
//  6. A client that comes back while it is in no gap may name its epoch and seq in the URL:
//     ?epoch=E&seq=S. It is then a resume that opens the feed.
//  7. After a bye, it comes back after a random part of RetryWithinMs.
//  8. A type that it doesn't know is ignored.
//
// So a client always ends at exactly the server's view, whatever was lost on the way.
//
// While the stock is lost, or can't be reached, the sale is "recovering", and the rest is what
// was known last. That is no change of the stock, so it comes as a sale from a seq to
// the same seq. What follows is another such sale if nothing was lost, and the
// snapshot of a new epoch if the stock was laid anew.
const FeedProtocol = "onsale.v1"

// FeedBinary is FeedProtocol, except that snapshots, deltas and sales are binary
// frames: for large maps. docs/feed.md has them byte by byte.
const FeedBinary = "onsale.v1.bin"

// The types of feed frames.
const (
	FrameHello    = "hello"
	FrameSnapshot = "snapshot"
	FrameDelta    = "delta"
	FrameSale     = "sale"
	FrameQueue    = "queue"
	FrameHold     = "hold" // from the client too
	FrameOrder    = "order"
	FrameBye      = "bye"
	FrameAuth     = "auth"   // from the client
	FrameResume   = "resume" // from the client
)

// The close codes of the feed, in the range that RFC 6455 leaves to applications.
const (
	CloseUnauthenticated = 4401 // the token in "auth" is malformed, forged or expired: sign in again
	CloseTooSlow         = 4408 // frames could not be delivered in time: come back
	CloseBadFrame        = 4400 // the client sent something that isn't of the protocol
	CloseRestarting      = 4503 // the process is going down: come back after a random part of the advised time
)

package holds

import (
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"onsale"
)

// The scripts. One file is one operation or one idea; what works on the book is
// joined into one script, so that one call can carry any mix of operations.
//
//go:embed lua/*.lua
var lua embed.FS

var (
	applyScript     = fenced(newScript("book", "expire", "ground", "best", "hold", "release", "pin", "extend", "accept", "confirm", "free", "refund", "look", "stripe", "tell", "close", "apply"))
	saleScript      = newScript("tell", "sale")
	rebuildScript   = newScript("tell", "rebuild")
	viewScript      = newScript("snapshot", "view")
	inspectScript   = newScript("snapshot", "inspect")
	pageScript      = newScript("page")
	conditionScript = newScript("condition")
)

// script is a Lua program that Redis knows by its SHA-1.
type script struct{ source, sha string }

func newScript(names ...string) *script {
	var b strings.Builder
	for _, name := range names {
		text, err := lua.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // a name above has no file: a programming mistake
		}
		b.Write(text)
		b.WriteByte('\n')
	}
	return programme(b.String())
}

func programme(source string) *script {
	sum := sha1.Sum([]byte(source)) // Redis's own name for a script, not a protection
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

// run calls the script on an event's keys: by its SHA-1, and whole when Redis has
// forgotten it (restart, failover, SCRIPT FLUSH).
func (s *script) run(ctx context.Context, c rueidis.Client, k keys, args []string) rueidis.RedisResult {
	r := s.evalsha(ctx, c, k, args)
	if isForgotten(r.Error()) {
		return c.Do(ctx, c.B().Eval().Script(s.source).Numkeys(int64(len(k.all))).Key(k.all...).Arg(args...).Build())
	}
	return r
}

// read is run for a script that only reads, on a server that may be a replica.
func (s *script) read(ctx context.Context, c rueidis.Client, k keys, args []string) rueidis.RedisResult {
	r := c.Do(ctx, c.B().EvalshaRo().Sha1(s.sha).Numkeys(int64(len(k.all))).Key(k.all...).Arg(args...).Build())
	if isForgotten(r.Error()) {
		return c.Do(ctx, c.B().EvalRo().Script(s.source).Numkeys(int64(len(k.all))).Key(k.all...).Arg(args...).Build())
	}
	return r
}

func (s *script) evalsha(ctx context.Context, c rueidis.Client, k keys, args []string) rueidis.RedisResult {
	return c.Do(ctx, c.B().Evalsha().Sha1(s.sha).Numkeys(int64(len(k.all))).Key(k.all...).Arg(args...).Build())
}

// isForgotten reports whether Redis doesn't know the script, or not any more.
func isForgotten(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && e.IsNoScript()
}

// keys are a book's keys in Redis. They share the hash tag {event}, so every
// script is legal in Redis Cluster; that of a stripe after the first is {event/stripe}.
type keys struct {
	all     []string // in the order that book.lua lists them
	channel string
}

func newKeys(namespace string, event onsale.EventID) keys {
	return stripeKeys(namespace, event, 0)
}

func stripeKeys(namespace string, event onsale.EventID, stripe int) keys {
	tag := string(event)
	if stripe > 0 {
		tag += "/" + strconv.Itoa(stripe) // which no event's id contains
	}
	prefix := namespace + ":{" + tag + "}:"
	return keys{
		all: []string{prefix + "meta", prefix + "holds", prefix + "due", prefix + "buyers", prefix + "seats", prefix + "pins"},
		// The channel has the tag too: sharded publish in Cluster needs it.
		channel: prefix + "feed",
	}
}

// status is the first word of a script's answer, when it is not "done".
type status struct {
	word  string
	epoch onsale.Epoch // with "epoch"
}

func (s status) Error() string {
	if s.word == "epoch" {
		return fmt.Sprintf("redis is in epoch %d", s.epoch)
	}
	return "redis: stock is " + s.word
}

// checkStatus turns a script's first words into an error, nil if it is done.
func checkStatus(reply []rueidis.RedisMessage) error {
	if len(reply) == 0 {
		return status{word: "absent"}
	}
	word, err := reply[0].ToString()
	if err != nil {
		return fmt.Errorf("read a script's status: %w", err)
	}
	if word == "done" {
		return nil
	}
	s := status{word: word}
	if word == "epoch" && len(reply) > 1 {
		text, err := reply[1].ToString()
		if err != nil {
			return fmt.Errorf("read a script's epoch: %w", err)
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("read a script's epoch: %w", err)
		}
		s.epoch = onsale.Epoch(n)
	}
	return s
}

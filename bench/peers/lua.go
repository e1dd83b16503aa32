package peers

import (
	"context"
	_ "embed"

	"github.com/redis/rueidis"
)

//go:embed hold.lua
var holdScript string

// lua sells admissions in one Lua call to Redis for each hold, which is atomic by itself.
type lua struct {
	*redis
	hold *rueidis.Lua
}

func openLua(ctx context.Context) (Peer, error) {
	r, err := startRedis(ctx, 1)
	if err != nil {
		return nil, err
	}
	return lua{r, rueidis.NewLuaScript(holdScript)}, nil
}

// Hold calls the script.
func (l lua) Hold(ctx context.Context, q Request) (int64, error) {
	admission, err := l.hold.Exec(ctx, l.client, []string{stockKey(q.Event), buyersKey(q.Event), holdsKey(q.Event)}, []string{q.Buyer, q.holdField()}).AsInt64()
	switch {
	case err != nil:
		return 0, err
	case admission == -1:
		return 0, ErrNoneLeft
	case admission == -2:
		return 0, ErrLimit
	}
	return admission, nil
}

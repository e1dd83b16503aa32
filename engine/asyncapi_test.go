package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/goccy/go-yaml"

	"onsale"
)

// described is what these tests read of asyncapi.yaml.
type described struct {
	Channels struct {
		Feed struct{ Messages map[string]any }
	}
	Operations map[string]struct {
		Action   string
		Messages []map[string]string
	}
	Components struct {
		Messages map[string]any
		Schemas  map[string]struct {
			Required   []string
			Properties map[string]any
		}
	}
}

// frameTypes are the Go types that the schemas describe, and, of a request, the fields that it has.
var frameTypes = map[string]struct {
	of     any
	fields []string
}{
	"hello":    {onsale.FeedHello{}, nil},
	"snapshot": {onsale.FeedSnapshot{}, nil},
	"section":  {onsale.FeedSection{}, nil},
	"delta":    {onsale.FeedDelta{}, nil},
	"changes":  {onsale.FeedChanges{}, nil},
	"sale":     {onsale.FeedSale{}, nil},
	"queue":    {onsale.FeedQueue{}, nil},
	"hold":     {onsale.FeedHold{}, nil},
	"order":    {onsale.FeedOrder{}, nil},
	"bye":      {onsale.FeedBye{}, nil},
	"auth":     {onsale.FeedRequest{}, []string{"token", "type"}},
	"follow":   {onsale.FeedRequest{}, []string{"hold", "type"}},
	"resume":   {onsale.FeedRequest{}, []string{"epoch", "seq", "type"}},
}

func readAsyncAPI(t *testing.T) (d described) {
	t.Helper()
	check(t, yaml.Unmarshal(asyncAPI, &d))
	return d
}

// fieldsOf are a type's fields on the wire, and those of them that are always there.
func fieldsOf(t reflect.Type) (all, always []string) {
	for f := range t.Fields() {
		if f.Anonymous {
			more, moreAlways := fieldsOf(f.Type)
			all, always = append(all, more...), append(always, moreAlways...)
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		all = append(all, name)
		if options == "" {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}

func TestAsyncAPIDescribesExactlyTheFrames(t *testing.T) {
	t.Parallel()
	d := readAsyncAPI(t)
	var requested []string
	for name, want := range frameTypes {
		schema, ok := d.Components.Schemas[name]
		if !ok {
			t.Errorf("%s isn't described", name)
			continue
		}
		all, always := fieldsOf(reflect.TypeOf(want.of))
		if want.fields != nil {
			requested = append(requested, want.fields...)
			all, always = want.fields, schema.Required
		}
		slices.Sort(schema.Required)
		if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, all) {
			t.Errorf("%s is described with the fields %v, and has %v", name, got, all)
		}
		if !slices.Equal(schema.Required, always) {
			t.Errorf("%s always has %v, and is described to have %v", name, always, schema.Required)
		}
	}
	slices.Sort(requested)
	if all, _ := fieldsOf(reflect.TypeFor[onsale.FeedRequest]()); !slices.Equal(slices.Compact(requested), all) {
		t.Errorf("the requests are described with the fields %v, and have %v", slices.Compact(requested), all)
	}
	for name := range d.Components.Schemas {
		if _, ok := frameTypes[name]; !ok && name != "saleState" {
			t.Errorf("%s is described and is no frame", name)
		}
	}
}

func TestEveryFrameIsInItsOperation(t *testing.T) {
	t.Parallel()
	d := readAsyncAPI(t)
	sent := []string{onsale.FrameHello, onsale.FrameSnapshot, onsale.FrameDelta, onsale.FrameSale, onsale.FrameQueue, onsale.FrameHold,
		onsale.FrameOrder, onsale.FrameBye}
	received := []string{onsale.FrameAuth, "follow", onsale.FrameResume}
	got := map[string][]string{}
	for _, operation := range d.Operations {
		for _, message := range operation.Messages {
			name := strings.TrimPrefix(message["$ref"], "#/channels/feed/messages/")
			got[operation.Action] = append(got[operation.Action], name)
		}
	}
	slices.Sort(sent)
	slices.Sort(got["send"])
	slices.Sort(got["receive"])
	if !slices.Equal(got["send"], sent) || !slices.Equal(got["receive"], received) {
		t.Errorf("described are %v, want %v and %v", got, sent, received)
	}
	all := slices.Sorted(slices.Values(append(sent, received...)))
	for what, names := range map[string]map[string]any{"the channel": d.Channels.Feed.Messages, "the components": d.Components.Messages} {
		if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, all) {
			t.Errorf("%s have the messages %v, want %v", what, got, all)
		}
	}
}

// A comma in a text without quotes ends it, and makes a key of the rest.
func TestAsyncAPIHasNoKeyWithoutAValue(t *testing.T) {
	t.Parallel()
	var whole any
	check(t, yaml.Unmarshal(asyncAPI, &whole))
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case nil:
			t.Errorf("%s has no value", path)
		case map[string]any:
			for key, v := range v {
				walk(path+"/"+key, v)
			}
		case []any:
			for i, v := range v {
				walk(fmt.Sprint(path, "/", i), v)
			}
		}
	}
	walk("", whole)
}

// The frames as they are sent agree with their schemas, and others don't.
func TestFramesAgreeWithTheirSchemas(t *testing.T) {
	t.Parallel()
	var whole struct {
		Components struct{ Schemas map[string]any }
	}
	check(t, yaml.Unmarshal(asyncAPI, &whole))
	doc := must(openapi3.NewLoader().LoadFromData(must(json.Marshal(map[string]any{"openapi": "3.0.3", "paths": map[string]any{},
		"info": map[string]any{"title": "frames", "version": "1"}, "components": map[string]any{"schemas": whole.Components.Schemas}}))))
	agrees := func(schema string, frame any) error {
		var value any
		check(t, json.Unmarshal(must(json.Marshal(frame)), &value))
		return doc.Components.Schemas[schema].Value.VisitJSON(value)
	}
	counts, at := onsale.Counts{Available: 3, Held: 2}, time.Now().UTC()
	runs := []onsale.FeedRun{{Offset: 0, States: "hh"}, {Offset: 12, States: "swc"}}
	good := map[string]any{
		"hello":    onsale.FeedHello{Type: onsale.FrameHello, ServerTime: at, HeartbeatMs: 20_000, Epoch: 1},
		"snapshot": onsale.FeedSnapshot{Type: onsale.FrameSnapshot, Event: "e", Epoch: 1, At: at, Sale: onsale.SaleDraft, Sections: []onsale.FeedSection{{ID: "s", Counts: counts, Seats: "awchps|a|"}}},
		"delta":    onsale.FeedDelta{Type: onsale.FrameDelta, Epoch: 1, Seq: 2, At: at, Sale: onsale.SaleOpen, Sections: map[string]onsale.FeedChanges{"s": {Counts: counts, Seats: runs}}},
		"sale":     onsale.FeedSale{Type: onsale.FrameSale, Epoch: 1, At: at, Sale: onsale.SaleRecovering},
		"queue":    onsale.FeedQueue{Type: onsale.FrameQueue, Event: "e", Position: 1, At: at},
		"hold":     onsale.FeedHold{Type: onsale.FrameHold, Hold: "h", State: onsale.HoldHeld, EndsInMs: 1, At: at},
		"order":    onsale.FeedOrder{Type: onsale.FrameOrder, Order: "o", Hold: "h", State: onsale.OrderTicketed, At: at},
		"bye":      onsale.FeedBye{Type: onsale.FrameBye, Code: onsale.CloseRestarting, Reason: "why", RetryWithinMs: 5000},
		"auth":     onsale.FeedRequest{Type: onsale.FrameAuth, Token: "t"},
		"follow":   onsale.FeedRequest{Type: onsale.FrameHold, Hold: "h"},
		"resume":   onsale.FeedRequest{Type: onsale.FrameResume, Epoch: 1, Seq: 2},
	}
	for schema, frame := range good {
		if err := agrees(schema, frame); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
	}
	for _, code := range []int{onsale.CloseBadFrame, onsale.CloseUnauthenticated, onsale.CloseTooSlow, onsale.CloseRestarting} {
		if err := agrees("bye", onsale.FeedBye{Type: onsale.FrameBye, Code: code, Reason: "why"}); err != nil {
			t.Errorf("%d: %v", code, err)
		}
		if !strings.Contains(string(asyncAPI), fmt.Sprint(code, " (")) {
			t.Errorf("the description doesn't say what %d means", code)
		}
	}
	for _, state := range []onsale.Sale{onsale.SaleDraft, onsale.SaleOpen, onsale.SalePaused, onsale.SaleClosed, onsale.SaleRecovering} {
		if err := agrees("saleState", state); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
	for _, state := range []onsale.OrderState{onsale.OrderAccepted, onsale.OrderClaimed, onsale.OrderPaid, onsale.OrderTicketed, onsale.OrderRejected, onsale.OrderDeclined, onsale.OrderRefunded} {
		if err := agrees("order", onsale.FeedOrder{Type: onsale.FrameOrder, State: state, At: at}); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
	for schema, frame := range map[string]any{"hello": good["sale"], "sale": good["delta"], "resume": good["auth"], "bye": onsale.FeedBye{Type: onsale.FrameBye, Code: 1000}} {
		if agrees(schema, frame) == nil {
			t.Errorf("%+v passes for a %s", frame, schema)
		}
	}
}

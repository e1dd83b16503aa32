package feedclient

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"onsale"
)

// clientCase is a case of testdata/cases.json, which says what its fields mean. The page's client
// is held to the same file.
type clientCase struct {
	Name      string
	Malformed bool
	Steps     []clientStep
	View      *onsale.FeedSnapshot
}

type clientStep struct {
	Open     *string
	Frame    json.RawMessage
	Binary   string
	Verdict  Verdict
	Send     *onsale.FeedRequest
	Closed   int
	WithinMs int64 `json:"within_ms"`
	SignIn   bool  `json:"sign_in"`
}

func TestClientFollowsTheScript(t *testing.T) {
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Cases []clientCase }
	if err := json.Unmarshal(text, &script); err != nil {
		t.Fatal(err)
	}
	for _, c := range script.Cases {
		t.Run(c.Name, func(t *testing.T) { c.run(t) })
	}
}

func (c *clientCase) run(t *testing.T) {
	var client Client
	var parser Parser
	for i, s := range c.Steps {
		switch {
		case s.Open != nil:
			if got := client.Opened(); got != *s.Open {
				t.Errorf("step %d: opens with %q, want %q", i, got, *s.Open)
			}
		case s.Closed != 0:
			if within, signIn := client.Closed(s.Closed); within != time.Duration(s.WithinMs)*time.Millisecond || signIn != s.SignIn {
				t.Errorf("step %d: comes back within %v, signs in: %v", i, within, signIn)
			}
		default:
			f, err := s.parse(&parser)
			if err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			verdict, request, err := client.Take(f)
			if err != nil && !c.Malformed {
				t.Errorf("step %d: %v", i, err)
			}
			if verdict != s.Verdict || !reflect.DeepEqual(request, s.Send) {
				t.Errorf("step %d: %s, and sends %+v; want %s and %+v", i, verdict, request, s.Verdict, s.Send)
			}
		}
	}
	if !reflect.DeepEqual(client.View(), c.View) {
		t.Errorf("view %+v, want %+v", client.View(), c.View)
	}
}

func (s *clientStep) parse(p *Parser) (*Frame, error) {
	if s.Binary == "" {
		return p.Parse(s.Frame)
	}
	data, err := hex.DecodeString(s.Binary)
	if err != nil {
		return nil, err
	}
	return p.ParseBinary(data)
}

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"onsale/internal/kafka"
)

// shownReasons is how many reasons of a topic a table has; JSON has all.
const shownReasons = 20

// deadTopic is what a topic's letters come to.
type deadTopic struct {
	Topic    string       `json:"topic"`
	Stage    string       `json:"stage"`
	Letters  int          `json:"letters"`
	Replayed int          `json:"replayed"`
	Reasons  []deadReason `json:"reasons"` // the most frequent first
}

// deadReason is how often letters died of the same, whatever their numbers and ids.
type deadReason struct {
	Reason  string    `json:"reason"`
	Letters int       `json:"letters"`
	Oldest  time.Time `json:"oldest"`
	First   string    `json:"first"` // the oldest one's name
}

// letterView is a letter as it is printed.
type letterView struct {
	Letter   string            `json:"letter"`
	Stage    string            `json:"stage"`
	Reason   string            `json:"reason"`
	Origin   string            `json:"origin"`
	Died     time.Time         `json:"died"`
	Replayed *time.Time        `json:"replayed,omitempty"`
	Key      string            `json:"key,omitempty"`
	Headers  map[string]string `json:"headers,omitempty"`
	Value    json.RawMessage   `json:"value,omitempty"` // the record's, or a text if that is no JSON
}

func listLetters(ctx context.Context, c *cli.Command, b kafka.Broker) error {
	if c.Args().Present() {
		return listTopic(ctx, c, b)
	}
	if err := reach(ctx, b); err != nil {
		return err
	}
	var topics []deadTopic
	for _, s := range kafka.Stages {
		letters, err := kafka.Letters(ctx, b, s.Topic)
		if err != nil {
			return err
		}
		topics = append(topics, countLetters(s, letters))
	}
	if c.Bool("json") {
		return printJSON(c, topics)
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tSTAGE\tLETTERS\tREPLAYED\tREASON")
	for _, t := range topics {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t\n", t.Topic, t.Stage, t.Letters, t.Replayed)
		for i, r := range t.Reasons {
			if i == shownReasons {
				fmt.Fprintf(w, "\t\t\t\tand %d more reasons: see --json\n", len(t.Reasons)-i)
				break
			}
			fmt.Fprintf(w, "\t\t%d\t\t%s (first: %s)\n", r.Letters, printable(r.Reason), r.First)
		}
	}
	return w.Flush()
}

// varying is what differs between letters that died of the same.
var varying = regexp.MustCompile(`\b(ord|hld|buy|tkt)_[a-z0-9_-]+|\d+`)

func countLetters(s kafka.Stage, letters []kafka.Letter) deadTopic {
	t := deadTopic{Topic: s.Topic, Stage: s.Name, Letters: len(letters), Reasons: []deadReason{}}
	at := map[string]int{}
	for i := range letters {
		l := &letters[i]
		if !l.Replayed.IsZero() {
			t.Replayed++
		}
		reason := varying.ReplaceAllString(l.Reason, "#")
		n, known := at[reason]
		if !known {
			n = len(t.Reasons)
			at[reason] = n
			t.Reasons = append(t.Reasons, deadReason{Reason: reason, Oldest: l.Died, First: nameOf(l)})
		}
		t.Reasons[n].Letters++
	}
	slices.SortStableFunc(t.Reasons, func(a, b deadReason) int { return cmp.Compare(b.Letters, a.Letters) })
	return t
}

// listTopic lists the letters of one topic, without what is in them.
func listTopic(ctx context.Context, c *cli.Command, b kafka.Broker) error {
	topic, err := stageTopic(c.Args().First())
	if err != nil {
		return err
	}
	if err := reach(ctx, b); err != nil {
		return err
	}
	letters, err := kafka.Letters(ctx, b, topic)
	if err != nil {
		return err
	}
	views := make([]letterView, len(letters))
	for i := range letters {
		views[i] = viewLetter(&letters[i])
	}
	if c.Bool("json") {
		return printJSON(c, views)
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LETTER\tDIED\tREPLAYED\tREASON")
	for _, v := range views {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Letter, v.Died.Format(time.RFC3339), v.replayed(), printable(v.Reason))
	}
	return w.Flush()
}

func viewLetter(l *kafka.Letter) letterView {
	v := letterView{Letter: nameOf(l), Stage: l.Stage, Reason: l.Reason, Origin: l.Origin, Died: l.Died.UTC()}
	if !l.Replayed.IsZero() {
		at := l.Replayed.UTC()
		v.Replayed = &at
	}
	return v
}

func (v *letterView) replayed() string {
	if v.Replayed == nil {
		return "no"
	}
	return v.Replayed.Format(time.RFC3339)
}

func showLetter(ctx context.Context, c *cli.Command, b kafka.Broker) error {
	l, err := findLetter(ctx, b, c.Args().First())
	if err != nil {
		return err
	}
	v := viewLetter(l)
	v.Key, v.Value, v.Headers = string(l.Record.Key), maskTokens(l.Record.Value), map[string]string{}
	for _, h := range l.Record.Headers {
		v.Headers[h.Key] = string(h.Value)
	}
	if c.Bool("json") {
		return printJSON(c, v)
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "letter\t%s\nstage\t%s\nreason\t%s\norigin\t%s\ndied\t%s\nreplayed\t%s\nkey\t%s\n",
		v.Letter, printable(v.Stage), printable(v.Reason), printable(v.Origin), v.Died.Format(time.RFC3339Nano), v.replayed(), printable(v.Key))
	for _, h := range l.Record.Headers {
		fmt.Fprintf(w, "header %s\t%s\n", printable(h.Key), printable(string(h.Value)))
	}
	fmt.Fprintf(w, "value\t%s\n", v.Value)
	return w.Flush()
}

func printJSON(c *cli.Command, v any) error {
	encoder := json.NewEncoder(c.Root().Writer)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

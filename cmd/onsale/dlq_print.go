package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"onsale/internal/kafka"
)

const (
	// shownReasons is how many reasons of a topic a table has; JSON has all.
	shownReasons = 20
	// keptReasons is how many are told apart; the rest are counted together.
	keptReasons = 1000
	// defaultPage and maxPage are how many letters of a topic are listed at once.
	defaultPage, maxPage = 1000, 100_000
)

// otherReasons stands for the reasons beyond keptReasons.
const otherReasons = "other reasons"

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
		counted, err := countLetters(s, kafka.Letters(ctx, b, s.Topic))
		if err != nil {
			return err
		}
		topics = append(topics, counted)
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

func countLetters(s kafka.Stage, letters iter.Seq2[kafka.Letter, error]) (deadTopic, error) {
	t := deadTopic{Topic: s.Topic, Stage: s.Name, Reasons: []deadReason{}}
	at := map[string]int{}
	for l, err := range letters {
		if err != nil {
			return t, err
		}
		t.Letters++
		if !l.Replayed.IsZero() {
			t.Replayed++
		}
		reason := varying.ReplaceAllString(l.Reason, "#")
		if _, known := at[reason]; !known && len(at) >= keptReasons {
			reason = otherReasons
		}
		n, known := at[reason]
		if !known {
			n = len(t.Reasons)
			at[reason] = n
			t.Reasons = append(t.Reasons, deadReason{Reason: reason, Oldest: l.Died, First: nameOf(&l)})
		}
		t.Reasons[n].Letters++
	}
	slices.SortStableFunc(t.Reasons, func(a, b deadReason) int { return cmp.Compare(b.Letters, a.Letters) })
	return t, nil
}

// listTopic lists a page of the letters of one topic, without what is in them.
func listTopic(ctx context.Context, c *cli.Command, b kafka.Broker) error {
	topic, err := stageTopic(c.Args().First())
	if err != nil {
		return err
	}
	views, more, err := page(ctx, c, b, topic)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c, views)
	}
	w := tabwriter.NewWriter(c.Root().Writer, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LETTER\tDIED\tREPLAYED\tREASON")
	for _, v := range views {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Letter, v.Died.Format(time.RFC3339), v.replayed(), printable(v.Reason))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if more {
		_, err = fmt.Fprintf(c.Root().Writer, "there are more: --after %s\n", views[len(views)-1].Letter)
	}
	return err
}

// page reads the page of a topic's letters that the command line asks for, and whether
// there are more after it.
func page(ctx context.Context, c *cli.Command, b kafka.Broker, topic string) (views []letterView, more bool, err error) {
	limit := c.Int("limit")
	if limit < 1 || limit > maxPage {
		return nil, false, wrong("--limit must be 1 to %d letters, not %d", maxPage, limit)
	}
	after := letterName{topic: topic, partition: -1}
	if text := c.String("after"); text != "" {
		if after, err = parseLetter(text); err != nil {
			return nil, false, err
		}
	}
	if after.topic != topic {
		return nil, false, wrong("--after must be a letter of %s, not of %s", topic, after.topic)
	}
	if err := reach(ctx, b); err != nil {
		return nil, false, err
	}
	views = []letterView{} // none is a list too
	for l, err := range kafka.LettersAfter(ctx, b, topic, after.partition, after.offset) {
		if err != nil {
			return nil, false, err
		}
		if len(views) == limit {
			return views, true, nil
		}
		views = append(views, viewLetter(&l))
	}
	return views, false, nil
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

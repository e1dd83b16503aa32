package main

// The dead letters, for a person to look at and to give back to their stages. These
// commands need Kafka alone.
//
// A letter is named topic:partition:offset, where the topic is the one whose stage
// gave it up, and partition and offset are in its dead-letter topic.

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"onsale"
	"onsale/internal/kafka"
)

// dlqPing bounds the first question to Kafka, so that a wrong address is said soon.
const dlqPing = 5 * time.Second

func deadLettersCommand() *cli.Command {
	asJSON := &cli.BoolFlag{Name: "json", Usage: "print it as JSON"}
	return &cli.Command{
		Name: "dlq", Usage: "list, show and replay dead letters: records that a stage could not process",
		Commands: []*cli.Command{
			dlqAction("list", "count the letters of each topic by reason, or list those of one, page by page", "[TOPIC]", []cli.Flag{
				&cli.IntFlag{Name: "limit", Value: defaultPage, Usage: "list so many of a topic, `LETTERS`, at the most"},
				&cli.StringFlag{Name: "after", Usage: "list those of the topic that come after this `LETTER`, the last of the page before"},
				asJSON,
			}, listLetters),
			dlqAction("show", "print a letter, with payment tokens masked", "TOPIC:PARTITION:OFFSET", []cli.Flag{asJSON}, showLetter),
			dlqAction("replay", "give a letter back to its stage, or all of a topic that were not replayed yet", "TOPIC:PARTITION:OFFSET", []cli.Flag{
				&cli.StringFlag{Name: "all", Usage: "replay every letter of this `TOPIC`"},
				&cli.BoolFlag{Name: "again", Usage: "replay also what was replayed before"},
				asJSON,
			}, replayLetters),
		},
	}
}

// dlqAction is a command on the dead letters that are there now. It takes one
// argument at the most.
func dlqAction(name, usage, argument string, more []cli.Flag, act func(context.Context, *cli.Command, kafka.Broker) error) *cli.Command {
	s := &settings{}
	return &cli.Command{
		Name: name, Usage: usage, ArgsUsage: argument,
		Flags: append(s.flags("kafka", "kafka-prefix"), more...),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() > 1 {
				return wrong("%s takes one argument, not %q; see %s --help", name, c.Args().Slice(), c.FullName())
			}
			if err := s.check(c); err != nil {
				return err
			}
			return act(ctx, c, s.broker())
		},
	}
}

// reach refuses, in one line, to go on without Kafka.
func reach(ctx context.Context, b kafka.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, dlqPing)
	defer cancel()
	if err := kafka.Ping(ctx, b); err != nil {
		return wrong("kafka at %s does not answer: start it, or give another address with --kafka", strings.Join(b.Seeds, ","))
	}
	return nil
}

// stageTopic is the topic that a person names: in full, or by what tells it from the
// others, as charges.
func stageTopic(named string) (string, error) {
	var known []string
	for _, s := range kafka.Stages {
		if short := strings.TrimPrefix(s.Topic, "onsale."); named == s.Topic || named == s.Topic+onsale.DeadLetterSuffix || named == short {
			return s.Topic, nil
		}
		known = append(known, s.Topic)
	}
	return "", wrong("%q is no topic with dead letters: they are %s", named, strings.Join(known, ", "))
}

// letterName is where a letter is.
type letterName struct {
	topic     string
	partition int32
	offset    int64
}

func parseLetter(text string) (n letterName, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return n, wrong("a letter is named TOPIC:PARTITION:OFFSET, as onsale.charges:0:17, not %q", text)
	}
	partition, err1 := strconv.ParseUint(parts[1], 10, 31)
	offset, err2 := strconv.ParseUint(parts[2], 10, 63)
	if errors.Join(err1, err2) != nil {
		return n, wrong("a letter is named TOPIC:PARTITION:OFFSET, as onsale.charges:0:17, not %q", text)
	}
	n.partition, n.offset = int32(partition), int64(offset)
	n.topic, err = stageTopic(parts[0])
	return n, err
}

func nameOf(l *kafka.Letter) string {
	return fmt.Sprintf("%s:%d:%d", l.Topic, l.Record.Partition, l.Record.Offset)
}

// findLetter reads the letter of that name.
func findLetter(ctx context.Context, b kafka.Broker, name string) (*kafka.Letter, error) {
	n, err := parseLetter(name)
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, b); err != nil {
		return nil, err
	}
	for l, err := range kafka.Letters(ctx, b, n.topic) {
		if err != nil {
			return nil, err
		}
		if l.Record.Partition == n.partition && l.Record.Offset == n.offset {
			return &l, nil
		}
	}
	return nil, wrong("there is no dead letter %s; see onsale dlq list %s", name, n.topic)
}

// replayPortion is how many letters are replayed, and marked, before the next are read.
const replayPortion = 1000

// replayLetters replays one letter or all of a topic. One that was replayed before is
// left out, or refused, unless it is to be replayed again.
func replayLetters(ctx context.Context, c *cli.Command, b kafka.Broker) error {
	letters, err := chosenLetters(ctx, c, b)
	if err != nil {
		return err
	}
	producer, err := kafka.NewProducer(b)
	if err != nil {
		return err
	}
	defer producer.Close()
	var portion []kafka.Letter
	replayed, before := 0, 0
	replay := func() error {
		n, err := producer.Replay(ctx, portion)
		replayed, portion = replayed+n, portion[:0]
		return err
	}
	for l, err := range letters {
		if err == nil && !l.Replayed.IsZero() && !c.Bool("again") {
			if c.String("all") == "" {
				return fmt.Errorf("%s was replayed at %s: give --again to do so once more", nameOf(&l), l.Replayed.UTC().Format(time.RFC3339))
			}
			before++
			continue
		}
		if err == nil {
			if portion = append(portion, l); len(portion) == replayPortion {
				err = replay()
			}
		}
		if err != nil {
			return halfReplayed(replayed, err)
		}
	}
	if err := replay(); err != nil {
		return halfReplayed(replayed, err)
	}
	if c.Bool("json") {
		return printJSON(c, map[string]int{"replayed": replayed, "replayed_before": before})
	}
	text := fmt.Sprintf("replayed: %d\n", replayed)
	if before > 0 {
		text += fmt.Sprintf("left out, since replayed before: %d (--again takes them too)\n", before)
	}
	_, err = fmt.Fprint(c.Root().Writer, text)
	return err
}

func halfReplayed(replayed int, err error) error {
	return fmt.Errorf("%d letters were replayed and marked; those after them perhaps, run it again: %w", replayed, err)
}

// chosenLetters are those that the command line names.
func chosenLetters(ctx context.Context, c *cli.Command, b kafka.Broker) (iter.Seq2[kafka.Letter, error], error) {
	all := c.String("all")
	if (all == "") != c.Args().Present() {
		return nil, wrong("replay takes one letter, or --all TOPIC; see %s --help", c.FullName())
	}
	if all == "" {
		l, err := findLetter(ctx, b, c.Args().First())
		if err != nil {
			return nil, err
		}
		return func(yield func(kafka.Letter, error) bool) { yield(*l, nil) }, nil
	}
	topic, err := stageTopic(all)
	if err != nil {
		return nil, err
	}
	if err := reach(ctx, b); err != nil {
		return nil, err
	}
	return kafka.Letters(ctx, b, topic), nil
}

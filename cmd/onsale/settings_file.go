package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v3"
)

// fileSource looks a setting up in the YAML file. The file's name is known when it
// is asked: --config stands before all other flags.
type fileSource struct {
	file *string
	name string
}

func (f *fileSource) Lookup() (string, bool) {
	if *f.file == "" {
		return "", false
	}
	values, err := readSettings(*f.file)
	if err != nil {
		return "", false // checkFile says so, once
	}
	value, ok := values[f.name]
	return value, ok
}

func (f *fileSource) String() string   { return fmt.Sprintf("%s in the file of --config", f.name) }
func (f *fileSource) GoString() string { return fmt.Sprintf("&fileSource{name: %q}", f.name) }

func readSettings(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("can't read the settings: %w", err)
	}
	values := map[string]string{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("the settings in %s must be lines of NAME: VALUE, each name once", file)
	}
	return values, nil
}

// checkFile refuses a file that can't be read, or has a name that no command
// takes: a misspelt one would silently not count. The roles share a file, so each
// takes what is another's for granted.
func (s *settings) checkFile(c *cli.Command) error {
	if s.file == "" {
		return nil
	}
	values, err := readSettings(s.file)
	if err != nil {
		return cantStart(err)
	}
	known := fileSettings(c.Root())
	for name := range values {
		if !slices.Contains(known, name) {
			return wrong("%s: there is no setting %q; the settings are %s", s.file, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// fileSettings are the names that the commands read from a file, sorted.
func fileSettings(root *cli.Command) []string {
	var names []string
	_ = root.Walk(func(c *cli.Command) error { // returns what this returns
		for _, f := range c.Flags {
			for _, source := range sourcesOf(f) {
				if file, ok := source.(*fileSource); ok {
					names = append(names, file.name)
				}
			}
		}
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// sourcesOf are a flag's. Settings are texts, numbers, times, and yes or no.
func sourcesOf(f cli.Flag) []cli.ValueSource {
	switch f := f.(type) {
	case *cli.StringFlag:
		return f.Sources.Chain
	case *cli.IntFlag:
		return f.Sources.Chain
	case *cli.BoolFlag:
		return f.Sources.Chain
	case *cli.DurationFlag:
		return f.Sources.Chain
	}
	return nil
}

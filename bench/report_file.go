package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Write writes the report as indented JSON, with its columns of numbers a line each. It
// makes the folders that are missing, and replaces what is there at once: nobody ever reads
// half a report.
func (r *Report) Write(path string) error { return writeJSON(path, r) }

// WriteReports writes a list of reports, as Write does one.
func WriteReports(path string, reports []*Report) error { return writeJSON(path, reports) }

func writeJSON(path string, reports any) error {
	body, err := json.MarshalIndent(reports, "", "  ")
	if err == nil {
		err = WriteFile(path, append(joinNumbers(body), '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// WriteFile writes a file whole: it makes the folders that are missing, and replaces what
// is there at once.
func WriteFile(path string, body []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { // gone already if all went well
		if rmErr := os.Remove(draft.Name()); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	_, err = draft.Write(body)
	if err = errors.Join(err, draft.Chmod(0o644), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}

// joinNumbers puts each list of numbers in indented JSON on one line: a timeline has
// thousands of them.
func joinNumbers(body []byte) []byte {
	joined := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"': // a text may contain anything
			end := i + 1
			for ; body[end] != '"'; end++ {
				if body[end] == '\\' {
					end++
				}
			}
			joined = append(joined, body[i:end+1]...)
			i = end
		case '[':
			inside := body[i+1:]
			end := bytes.IndexByte(inside, ']')
			if end < 0 || bytes.ContainsAny(inside[:end], `"{[`) {
				joined = append(joined, '[')
				continue
			}
			joined = append(append(append(joined, '['), bytes.Join(bytes.Fields(inside[:end]), nil)...), ']')
			i += end + 1
		default:
			joined = append(joined, body[i])
		}
	}
	return joined
}

// ReadReport reads a report that Write wrote.
func ReadReport(path string) (*Report, error) {
	reports, err := ReadReports(path)
	if err == nil && len(reports) != 1 {
		err = fmt.Errorf("reading the report %s: it has %d", path, len(reports))
	}
	if err != nil {
		return nil, err
	}
	return reports[0], nil
}

// ReadReports reads the report, or the list of them, that a scenario wrote.
func ReadReports(path string) ([]*Report, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the report: %w", err)
	}
	var reports []*Report
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		err = json.Unmarshal(body, &reports)
	} else {
		reports = []*Report{new(Report)}
		err = json.Unmarshal(body, reports[0])
	}
	if err != nil {
		return nil, fmt.Errorf("reading the report %s: %w", path, err)
	}
	for i, r := range reports {
		if r == nil || r.Scenario == "" {
			return nil, fmt.Errorf("reading the report %s: entry %d is no report", path, i+1)
		}
	}
	return reports, nil
}

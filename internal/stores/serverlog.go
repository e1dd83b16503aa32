package stores

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	maxLogBytes  = 1 << 20 // a log above this is put aside at the next start
	maxTailBytes = 4 << 10 // how much of its end is looked at
	maxTailLines = 8       // how much of its end is shown
)

// serverLog is the file that a child writes its messages to, from where this
// run of it began.
type serverLog struct {
	path string
	from int64
	file *os.File // for the child; closed once it has it
}

// openLog opens the log for one more run. What earlier runs wrote stays, up to
// maxLogBytes, with one older file beside it.
func openLog(path string) (*serverLog, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogBytes {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, fmt.Errorf("put the log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the log: %w", err), f.Close())
	}
	return &serverLog{path: path, from: info.Size(), file: f}, nil
}

// tail returns the last lines of this run.
func (l *serverLog) tail() string {
	f, err := os.Open(l.path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }() // only read
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err.Error()
	}
	from := max(l.from, end-maxTailBytes)
	text := make([]byte, max(0, end-from))
	n, err := f.ReadAt(text, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text[:n]), []byte("\n"))
	if len(lines) > maxTailLines {
		lines = lines[len(lines)-maxTailLines:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}

// explain says where the log is and how it ends.
func (l *serverLog) explain() string { return fmt.Sprintf("%s ends with\n%s", l.path, l.tail()) }

// cause is the reason in one line, and what to do about it, where the log tells
// a reason that we know; else the end of the log.
func (l *serverLog) cause() error {
	tail := l.tail()
	for _, known := range []struct {
		text string
		err  error
	}{
		{"Address already in use", errPortInUse},
		{"pre-existing shared memory block", errStillInUse},
		{"No space left on device", errors.New("the disk is full: free some space, or choose another data folder")},
		{"Permission denied", errors.New("a file may not be read or written: choose another data folder, or mend its owner")},
		{"Cannot allocate memory", errors.New("there is not enough memory: end other programs")},
	} {
		if strings.Contains(tail, known.text) {
			return fmt.Errorf("%w (see %s)", known.err, l.path)
		}
	}
	return errors.New(l.explain())
}

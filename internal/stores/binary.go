package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Where the servers are if PATH doesn't say so: packagers keep Postgres's own
// programs out of it, and cron and services have a short one.
var (
	redisFolders    = []string{"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/usr/sbin", "/usr/local/sbin"}
	postgresFolders = []string{
		"/usr/lib/postgresql/*/bin", // Debian
		"/usr/pgsql-*/bin",          // PostgreSQL's own RPMs
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin", // Homebrew on Intel
		"/usr/local/pgsql/bin",           // built from source
		"/usr/bin", "/usr/local/bin",
	}
)

// RedisBinaryVariable names the environment variable that names redis-server.
const RedisBinaryVariable = "ONSALE_REDIS_SERVER"

// errNoRedis says that there is no redis-server.
var errNoRedis = errors.New("redis-server is not installed: apt install redis-server, dnf install redis, or brew install redis")

// RedisBinary returns the redis-server (or valkey-server) to run: the named one,
// else that of ONSALE_REDIS_SERVER, else the first in PATH and the usual places.
func RedisBinary(named string) (string, error) {
	if named == "" {
		named = os.Getenv(RedisBinaryVariable)
	}
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("no redis-server at %q: %w", named, err)
		}
		return path, nil
	}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		for _, folder := range redisFolders {
			if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
				return path, nil
			}
		}
	}
	return "", errNoRedis
}

// postgresBinaries are the programs of one PostgreSQL installation.
type postgresBinaries struct {
	folder string
	major  string // its version, such as "15"
}

func (b postgresBinaries) program(name string) string { return filepath.Join(b.folder, name) }

// oldestPostgres is the first release whose features the tables may use.
const oldestPostgres = 13

var versionPattern = regexp.MustCompile(`\d+`)

// findPostgres returns the newest PostgreSQL, or that of the wanted major
// version if one is wanted: a cluster can only be run by the version that made it.
func findPostgres(ctx context.Context, named, wanted string) (postgresBinaries, error) {
	var found []postgresBinaries
	for _, folder := range postgresCandidates(ctx, named) {
		b, err := examinePostgres(ctx, folder)
		if err != nil {
			if named != "" {
				return b, err
			}
			continue // not an installation
		}
		if b.major == wanted {
			return b, nil
		}
		found = append(found, b)
	}
	if len(found) == 0 {
		return postgresBinaries{}, errors.New("PostgreSQL is not installed: apt install postgresql, dnf install postgresql-server, or brew install postgresql")
	}
	if wanted != "" {
		return postgresBinaries{}, fmt.Errorf("the data is PostgreSQL %s's, but only %s is installed: install %s, or start with another data folder",
			wanted, found[0].major, wanted)
	}
	newest := slices.MaxFunc(found, func(a, b postgresBinaries) int { return number(a.major) - number(b.major) })
	if number(newest.major) < oldestPostgres {
		return newest, fmt.Errorf("PostgreSQL %s is too old: install %d or newer", newest.major, oldestPostgres)
	}
	return newest, nil
}

func postgresCandidates(ctx context.Context, named string) []string {
	if named != "" {
		return []string{named}
	}
	var folders []string
	for _, name := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(name); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(out)))
	}
	for _, pattern := range postgresFolders {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			panic(err) // a malformed pattern of ours
		}
		folders = append(folders, matches...)
	}
	return folders
}

// examinePostgres returns the installation whose programs are in folder.
func examinePostgres(ctx context.Context, folder string) (postgresBinaries, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(folder, name)); err != nil {
			return postgresBinaries{}, fmt.Errorf("no PostgreSQL in %s: %w", folder, err)
		}
	}
	out, err := exec.CommandContext(ctx, filepath.Join(folder, "postgres"), "--version").Output()
	if err != nil {
		return postgresBinaries{}, fmt.Errorf("ask %s/postgres for its version: %w", folder, err)
	}
	return postgresBinaries{folder: folder, major: versionPattern.FindString(string(out))}, nil
}

func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
